"""Names that users know from RLlib's old API stack and from PyMARL, and what to write today."""

from __future__ import annotations

from collections.abc import Container

#: Metrics of a result.
RENAMED_METRICS = {
    "timesteps_total": "num_env_steps_sampled_lifetime",
    "num_env_steps_sampled": "num_env_steps_sampled_lifetime",
    "num_env_steps_trained": "num_env_steps_sampled_lifetime",
    "num_agent_steps_sampled": "num_env_steps_sampled_lifetime",
    "agent_timesteps_total": "num_env_steps_sampled_lifetime",
    "episodes_total": "env_runners/num_episodes_lifetime",
    "episode_reward_mean": "env_runners/episode_return_mean",
    "episode_reward_min": "env_runners/episode_return_min",
    "episode_reward_max": "env_runners/episode_return_max",
    "sampler_results/episode_reward_mean": "env_runners/episode_return_mean",
    "env_runners/episode_reward_mean": "env_runners/episode_return_mean",
    "evaluation/episode_reward_mean": "evaluation/env_runners/episode_return_mean",
    "evaluation/env_runners/episode_reward_mean": "evaluation/env_runners/episode_return_mean",
}

#: Options with another name today. A target that the algorithm lacks is not offered.
RENAMED_OPTIONS = {
    "num_workers": "num_env_runners",
    "num_rollout_workers": "num_env_runners",
    "num_envs_per_worker": "num_envs_per_env_runner",
    "num_cpus_per_worker": "num_cpus_per_env_runner",
    "num_gpus_per_worker": "num_gpus_per_env_runner",
    "custom_resources_per_worker": "custom_resources_per_env_runner",
    "num_cpus_for_driver": "num_cpus_for_main_process",
    "num_cpus_for_local_worker": "num_cpus_for_main_process",
    "num_gpus": "num_gpus_per_learner",
    "num_learner_workers": "num_learners",
    "num_cpus_per_learner_worker": "num_cpus_per_learner",
    "num_gpus_per_learner_worker": "num_gpus_per_learner",
    "evaluation_num_workers": "evaluation_num_env_runners",
    "evaluation_num_episodes": "evaluation_duration",
    "timesteps_per_iteration": "min_sample_timesteps_per_iteration",
    "min_sample_timesteps_per_reporting": "min_sample_timesteps_per_iteration",
    "min_iter_time_s": "min_time_s_per_iteration",
    "min_time_s_per_reporting": "min_time_s_per_iteration",
    "metrics_smoothing_episodes": "metrics_num_episodes_for_smoothing",
    "collect_metrics_timeout": "metrics_episode_collection_timeout_s",
    "create_env_on_driver": "create_env_on_local_worker",
    "custom_eval_function": "custom_evaluation_function",
    "ignore_worker_failures": "ignore_env_runner_failures",
    "recreate_failed_workers": "restart_failed_env_runners",
    "recreate_failed_env_runners": "restart_failed_env_runners",
    "max_num_worker_restarts": "max_num_env_runner_restarts",
    "exploration_config": "epsilon",
    "explore_config": "epsilon",
    "exploration_fraction": "epsilon",
    "exploration_initial_eps": "epsilon",
    "exploration_final_eps": "epsilon",
    "epsilon_timesteps": "epsilon",
    "initial_epsilon": "epsilon",
    "final_epsilon": "epsilon",
    "grad_norm_clipping": "grad_clip",
    "adam_epsilon": "optim_eps",
    "tau": "target_update_tau",
    "buffer_size": "replay_capacity_episodes",
    "replay_buffer_config": "replay_capacity_episodes",
    "learning_starts": "learning_starts_episodes",
    "num_steps_sampled_before_learning_starts": "learning_starts_episodes",
    "train_batch_size_per_learner": "train_batch_episodes",
    "training_intensity": "updates_per_episode",
    "model": "hidden_dim",
    "lstm_cell_size": "hidden_dim",
    "fcnet_hiddens": "hidden_dim",
}

#: Options of PyMARL and EPyMARL -> today's.
PYMARL_OPTIONS = {
    "batch_size": "train_batch_episodes",
    "batch_size_run": "num_envs_per_env_runner",
    "rnn_hidden_dim": "hidden_dim",
    "hypernet_embed": "hypernet_embed_dim",
    "obs_agent_id": "observe_agent_id",
    "obs_last_action": "observe_last_action",
    "grad_norm_clip": "grad_clip",
    "target_update_interval": "target_update_episodes",
    "test_interval": "evaluation_interval_env_steps",
    "test_nepisode": "evaluation_duration",
    "epsilon_start": "epsilon",
    "epsilon_finish": "epsilon",
    "epsilon_anneal_time": "epsilon",
    "env_args": "env_config",
}

#: What users of other libraries try first -> the option.
_GUESSED = {
    "learning_rate": "lr",
    "discount": "gamma",
    "discount_factor": "gamma",
    "num_envs": "num_envs_per_env_runner",
    "n_envs": "num_envs_per_env_runner",
    "replay_capacity": "replay_capacity_episodes",
    "grad_clip_norm": "grad_clip",
    "max_grad_norm": "grad_clip",
    "rollout_length": "rollout_horizon",
    "imagination_horizon": "rollout_horizon",
    "random_seed": "seed",
}
#: Every other name of an option -> the option.
OTHER_NAMES = {**_GUESSED, **PYMARL_OPTIONS, **RENAMED_OPTIONS}

_LIMIT = (
    "a time limit is the environment's: set it in env_config, where the environment has one, and "
    "say with bootstrap_truncated whether targets look past it (true) or end there (false)"
)
_TEAM = "all agents share the networks of one module, the team's; leave it out"
_EVEN = "episodes are drawn evenly, each with the same weight; leave it out"
_NO_CONNECTORS = (
    "no connector runs between environment and module; change what agents see in the environment "
    "(`rllib docs environments`) or in the module (`rllib docs extending`)"
)
#: Options that nothing stands for today: what to do instead.
OLD_OPTIONS = {
    "horizon": _LIMIT,
    "soft_horizon": _LIMIT,
    "no_done_at_end": _LIMIT,
    "multiagent": _TEAM,
    "lr_schedule": "write the schedule as lr: [[0, 1e-3], [100000, 1e-4]] (env steps, value)",
    "prioritized_replay": _EVEN,
    "prioritized_replay_alpha": _EVEN,
    "prioritized_replay_beta": _EVEN,
    "prioritized_replay_eps": _EVEN,
    "worker_side_prioritization": _EVEN,
    "connectors": _NO_CONNECTORS,
    "enable_connectors": _NO_CONNECTORS,
    "env_to_module_connector": _NO_CONNECTORS,
    "module_to_env_connector": _NO_CONNECTORS,
    "learner_connector": _NO_CONNECTORS,
    "n_step": "targets look one step ahead; leave it out",
    "dueling": "the agents' networks are QMIX's, without a dueling head; leave it out",
    "noisy": "exploration is epsilon-greedy: set epsilon",
    "num_sgd_iter": "an update is one step on one batch; set updates_per_episode",
    "sgd_minibatch_size": "an update is one step on one batch; set train_batch_episodes",
    "t_max": "it is a stop criterion: stop: {num_env_steps_sampled_lifetime: ...}",
    "optimizer": "set optim (rmsprop or adam), optim_alpha, optim_eps and lr",
    "monitor": "`rllib evaluate --render` films a trained team",
    "record_env": "`rllib evaluate --render` films a trained team",
    "render_env": "`rllib evaluate --render` films a trained team",
    "use_lstm": "the agents' networks have a GRU already: set hidden_dim",
}


def advice(option: str, offered: Container[str]) -> str | None:
    """What to write for an option of another time or project; None where it is none.

    Args:
        option: The name that the user wrote.
        offered: The options that there are.
    """
    for names, whose in (
        (RENAMED_OPTIONS, "a name of RLlib's old API stack"),
        (PYMARL_OPTIONS, "PyMARL's name"),
    ):
        if names.get(option) in offered:
            return f"'{option}' is {whose}; write '{names[option]}'"
    if option in OLD_OPTIONS:
        return f"'{option}' does nothing here: {OLD_OPTIONS[option]}"
    return None
