"""JaxMARL's MPE and Overcooked (`env: jaxmarl`)."""

from env_registry.jaxmarl_env.env import JaxmarlEnv, JaxmarlVectorEnv

__all__ = ["JaxmarlEnv", "JaxmarlVectorEnv"]
