"""Compiled functions for what networks compute on a CPU (kernels.c).

Where there was a C compiler when the package was installed, these take the place of the same steps
in PyTorch: half the time, and none of Python's lock, so that the second thread of an update
(``nets/beside.py``) has it. The numbers are the same but for rounding. Without a compiler, without
AVX2, on a GPU, in float64 or for other readings of the paper the steps in PyTorch are taken.
"""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Sequence

import torch
from torch import Tensor

#: From what ``instruction_set`` returns 1 for on. Processors without these are left to PyTorch.
_INSTRUCTIONS = ("avx2", "avx512")
#: Some sizes must be a multiple of this: the floats of a vector.
LANES = 16
_used = True


class Kernels:
    """The functions of the library for one instruction set.

    Tensors are contiguous, on the CPU, float32 where nothing else is said, and ask for no gradient.

    Args:
        library: the compiled library.
        instructions: "avx2" or "avx512".
    """

    def __init__(self, library: ctypes.CDLL, instructions: str):
        pointer, number = ctypes.c_void_p, ctypes.c_int
        self.instructions = instructions
        self._candidates = getattr(library, f"candidate_values_{instructions}")
        self._candidates.argtypes = [pointer] * 9 + [number] * 5
        self._values = getattr(library, f"sale_values_{instructions}")
        self._values.argtypes = [pointer] * 5 + [number, pointer]
        self._gru = getattr(library, f"gru_{instructions}")
        self._gru.argtypes = [pointer] * 4 + [number] * 3
        self._mlp = getattr(library, f"mlp_{instructions}")
        self._mlp.argtypes = [pointer] * 2 + [number] + [pointer] * 3 + [number, pointer]
        self._mlp_back = getattr(library, f"mlp_back_{instructions}")
        self._mlp_back.argtypes = [pointer] * 2 + [number] + [pointer] * 5 + [number, pointer]
        self._linear = getattr(library, f"linear_{instructions}")
        self._linear.argtypes = [pointer] * 2 + [number] + [pointer] * 3 + [number] * 3
        self._linear_back = getattr(library, f"linear_back_{instructions}")
        self._linear_back.argtypes = [pointer] * 2 + [number] + [pointer] * 5 + [number] * 3
        self._mix = getattr(library, f"mix_{instructions}")
        self._mix.argtypes = [pointer] * 3 + [number] + [pointer] * 2 + [number, pointer]
        self._imagine = getattr(library, f"imagine_{instructions}")
        self._imagine.argtypes = [pointer] * 5 + [number] * 2 + [pointer]

    def gru(self, x: Tensor, weights: Sequence[Tensor], counts: Sequence[int]) -> Tensor:
        """A GRU's states over time, from zeros on (``nets/gru.py``).

        Args:
            x: (P, inputs), the rows of each step after those of the last.
            weights: (3H, inputs), (3H, H), (3H,), (3H,), H a multiple of ``LANES``.
            counts: rows of each step, never more than before; P in all.

        Returns:
            (P, H).
        """
        size = weights[1].shape[1]
        states = x.new_empty(len(x), size)
        [read] = _pointers([x])
        given = read, _list(weights), states.data_ptr(), _numbers(counts)
        _check(self._gru(*given, len(counts), x.shape[1], size))
        return states

    def linear(self, parts: Sequence[Tensor], weight: Tensor, bias: Tensor | None) -> Tensor:
        """W x + b (``linear_of_parts``), (R, outputs).

        Args:
            parts: (R, I_1), (R, I_2), ..., side by side in x.
            weight, bias: (outputs, I_1 + I_2 + ...), (outputs,) or None.
        """
        rows, (outputs, inputs) = len(parts[0]), weight.shape
        y = parts[0].new_empty(rows, outputs)
        of_bias = None if bias is None else bias.data_ptr()
        read = _list(parts), _widths(parts), len(parts), *_pointers([weight]), of_bias
        _check(self._linear(*read, y.data_ptr(), rows, inputs, outputs))
        return y

    def linear_back(
        self, parts: Sequence[Tensor], weight: Tensor, of_y: Tensor, asked: Sequence[bool]
    ) -> tuple[Tensor, Tensor, list[Tensor | None]]:
        """The gradients of ``linear``'s weight, bias and parts (see ``mlp_back``)."""
        rows, (outputs, inputs) = len(parts[0]), weight.shape
        of_weight, of_bias = torch.empty_like(weight), weight.new_empty(outputs)
        of_parts = [torch.empty_like(p) if a else None for p, a in zip(parts, asked, strict=True)]
        read = _list(parts), _widths(parts), len(parts), *_pointers([weight, of_y])
        written = _list(of_parts), *_pointers([of_weight, of_bias])
        _check(self._linear_back(*read, *written, rows, inputs, outputs))
        return of_weight, of_bias, of_parts

    def mlp(self, parts: Sequence[Tensor], weights: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """[linear(x) +] last(relu(first(x))) (``nets/mlp.py``), and what its ReLU returned.

        Args:
            parts: (R, I_1), (R, I_2), ..., side by side in x.
            weights: weight and bias of first and last, and those of linear if there is one.

        Returns:
            (R, width) and (R, outputs).
        """
        rows, sizes = len(parts[0]), _sizes_of_mlp(weights)
        hidden, y = (parts[0].new_empty(rows, size) for size in sizes[1:])
        read = _list(parts), _widths(parts), len(parts), _list(weights, 6)
        _check(self._mlp(*read, hidden.data_ptr(), y.data_ptr(), rows, _numbers(sizes)))
        return hidden, y

    def mlp_back(
        self,
        parts: Sequence[Tensor],
        weights: Sequence[Tensor],
        hidden: Tensor,
        of_y: Tensor,
        asked: Sequence[bool],
    ) -> tuple[list[Tensor], list[Tensor | None]]:
        """The gradients of ``mlp``'s weights and parts, from that of y.

        Args:
            parts, weights: what ``mlp`` was given.
            hidden: what it returned.
            of_y: (R, outputs).
            asked: whether a part's gradient is asked for; there is None where it is not.
        """
        of_weights = [torch.empty_like(weight) for weight in weights]
        of_parts = [torch.empty_like(p) if a else None for p, a in zip(parts, asked, strict=True)]
        read = _list(parts), _widths(parts), len(parts), _list(weights, 6)
        written = _list(of_parts), _list(of_weights, 6)
        sizes = _numbers(_sizes_of_mlp(weights))
        _check(self._mlp_back(*read, *_pointers([hidden, of_y]), *written, len(hidden), sizes))
        return of_weights, of_parts

    def mix(
        self,
        q_values: Tensor,
        state: Sequence[Tensor],
        weights: Sequence[Tensor],
        sizes: tuple[int, int, int],
    ) -> Tensor:
        """Q_tot (``QMixer``).

        Args:
            q_values: (L, N).
            state: (L, S_1), (L, S_2), ...
            weights: those of ``fill_mixer`` in kernels.c, in its order.
            sizes: S, width of the mixing layer (a multiple of ``LANES``), and of hypernetworks.

        Returns:
            (L, 1).
        """
        rows, agents = q_values.shape
        mixed = q_values.new_empty(rows, 1)
        [of_q] = _pointers([q_values])
        given = (
            of_q,
            _list(state),
            _widths(state),
            len(state),
            _list(weights),
            mixed.data_ptr(),
            rows,
        )
        _check(self._mix(*given, _numbers((agents, *sizes))))
        return mixed

    def add_candidate_values(
        self,
        values: Tensor,
        legal: Tensor,
        of_rows: Sequence[Tensor],
        of_actions: Sequence[Tensor],
        weights: Sequence[Tensor],
    ) -> None:
        """Adds head(relu(from_state + W [relu(from_z + of_g) ; avg_l1_norm(from_obs + of_phi)])).

        Args:
            values: (R, A), written to where ``legal``.
            legal: (R, A) bool.
            of_rows: from_z (R, hidden), from_obs (R, E), from_state (R, O).
            of_actions: of_g (A, hidden), of_phi (A, E).
            weights: W (O, hidden + E), head (1, O).
        """
        from_z, from_obs, from_state = of_rows
        sizes = (*values.shape, from_z.shape[1], from_obs.shape[1], from_state.shape[1])
        tensors = (*of_rows, legal, *of_actions, *weights, values)
        _check(self._candidates(*_pointers(tensors), *sizes))

    def sale_values(
        self,
        hidden: Tensor,
        obs: Tensor,
        legal: Tensor,
        weights: Sequence[Tensor],
        sizes: Sequence[int],
    ) -> Tensor:
        """Agents' values of legal actions (``CandidateActionSaleAgent.legal_q``).

        Args:
            hidden: (R, H).
            obs: (R, D).
            legal: (R, A) bool.
            weights: those of ``fill_agent`` in kernels.c, in its order.
            sizes: A, D, H, E, hidden size of f and g, width of the head.

        Returns:
            (R, A), of illegal actions any number.
        """
        values = hidden.new_empty(legal.shape)
        given = hidden, obs, legal
        written = values.data_ptr(), len(hidden), _numbers(sizes)
        _check(self._values(*_pointers(given), _list(weights), *written))
        return values

    def imagine(
        self,
        read: Sequence[Tensor],
        weights: Sequence[Tensor],
        sizes: Sequence[int],
        horizon: int,
    ) -> Tensor:
        """Roll-outs of a world model's means (``WorldModel.imagine``).

        Args:
            read: hidden (R, N, H), obs (R, N, D), actions (R, N) int64.
            weights: those of ``fill_model`` in kernels.c, in its order.
            sizes: N, A, D, H, L, numbers of an embedded action, width.
            horizon: K.

        Returns:
            (R, K+1, N L).
        """
        agents, latent = sizes[0], sizes[4]
        steps = len(read[0])
        latents = read[0].new_empty(steps, horizon + 1, agents * latent)
        written = latents.data_ptr(), steps, horizon, _numbers(sizes)
        _check(self._imagine(*_pointers(read), _list(weights), *written))
        return latents


def _pointers(tensors: Sequence[Tensor]) -> list[int]:
    for tensor in tensors:
        if not tensor.is_contiguous():
            raise ValueError(f"a tensor {tuple(tensor.shape)} is not contiguous")
    return [tensor.data_ptr() for tensor in tensors]


def _list(tensors: Sequence[Tensor | None], length: int = 0) -> ctypes.Array:
    """Pointers, NULL for None and past the end of ``tensors`` up to ``length``."""
    pointers = [None if tensor is None else _pointers([tensor])[0] for tensor in tensors]
    return (ctypes.c_void_p * max(length, len(pointers)))(*pointers)


def _numbers(values: Sequence[int]) -> ctypes.Array:
    return (ctypes.c_int * len(values))(*values)


def _widths(parts: Sequence[Tensor]) -> ctypes.Array:
    return _numbers([part.shape[1] for part in parts])


def _sizes_of_mlp(weights: Sequence[Tensor]) -> tuple[int, int, int]:
    """Inputs, width, outputs."""
    return weights[0].shape[1], weights[0].shape[0], weights[2].shape[0]


def _check(failed: int) -> None:
    if failed:
        raise MemoryError("no memory for a compiled function's work")


def _load() -> ctypes.CDLL | None:
    """The compiled library; None where nothing was compiled."""
    found = importlib.util.find_spec(f"{__name__}._kernels")
    return ctypes.CDLL(found.origin) if found is not None and found.origin else None


_library = _load()


def every_kind() -> list[Kernels]:
    """The functions for each instruction set that this processor has; the best one is the last."""
    if _library is None:
        return []
    known = _INSTRUCTIONS[: _library.instruction_set()]
    return [Kernels(_library, instructions) for instructions in known]


_best = next(reversed(every_kind()), None)


def use_kernels(used: bool) -> None:
    """Sets whether this process takes compiled functions where it can."""
    global _used
    _used = used


def kernels_for(tensor: Tensor, with_gradient: bool = False) -> Kernels | None:
    """The compiled functions, where they can compute with tensors such as this one.

    Args:
        with_gradient: whether gradients may be recorded.
    """
    if _best is None or not _used or torch.jit.is_tracing():
        return None
    if torch.is_grad_enabled() and not with_gradient:
        return None
    return _best if tensor.device.type == "cpu" and tensor.dtype == torch.float32 else None
