"""The compiled functions (functions.h), given tensors."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rllib_mmsa.nets.beside import at_once
from rllib_mmsa.nets.kernels.arguments import declared

#: Rows for which a second thread is not worth its while.
_FEW = 256


#: What each function is given (``declared``).
_ARGUMENTS = {
    "sale_values": "ttttttttiiI",
    "sale_values_back": "tttTtttTiiI",
    "gru": "tTttII",
    "gru_back": "tTttttTII",
    "linear": "TIitttiii",
    "linear_back": "TIittTttiii",
    "mlp": "TIiTttiI",
    "mlp_back": "TIiTttTTiI",
    "mix": "tTIiTtiI",
    "imagine": "tttTtiiiI",
    "sale_loss": "ttttfTTtttI",
    "model_losses": "TTttTTtFI",
}


class Kernels:
    """The functions of the library for one instruction set.

    Tensors are contiguous, on the CPU, float32 where nothing else is said, and ask for no gradient.

    Args:
        library: the compiled library.
        instructions: "avx2" or "avx512".
    """

    def __init__(self, library: ctypes.CDLL, instructions: str):
        self.instructions = instructions
        self._functions = {
            name: declared(library, f"{name}_{instructions}", kinds)
            for name, kinds in _ARGUMENTS.items()
        }
        self._size_of_agent = declared(library, "size_of_agent", "I", ctypes.c_long)
        self._pack_agent = declared(library, "pack_agent", "TtI", None)

    def _call(self, name: str, *given: Any) -> None:
        if self._functions[name](*given):
            raise MemoryError(f"no memory for what `{name}` works with")

    def gru(
        self, x: Tensor, weights: Sequence[Tensor], counts: Sequence[int], keep: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """A GRU's states over time, from zeros on (``nets/gru.py``).

        Args:
            x: (P, inputs), the rows of each step after those of the last.
            weights: (3H, inputs), (3H, H), (3H,), (3H,), H a multiple of ``LANES``.
            counts: rows of each step, never more than before; P in all.
            keep: whether ``gru_back`` will be asked.

        Returns:
            (P, H), and what ``gru_back`` needs, (P, 4H), or None.
        """
        size = weights[1].shape[1]
        states = x.new_empty(len(x), size)
        kept = x.new_empty(len(x), 4 * size) if keep else None

        def run(sequences: tuple[int, int]) -> None:
            sizes = len(counts), x.shape[1], size, *sequences
            self._call("gru", x, weights, states, kept, counts, sizes)

        at_once(run, _parts(counts[0], 2))
        return states, kept

    def gru_back(
        self,
        x: Tensor,
        weights: Sequence[Tensor],
        counts: Sequence[int],
        made: tuple[Tensor, Tensor],
        of_states: Tensor,
        asked: bool,
    ) -> tuple[Tensor | None, Sequence[Tensor]]:
        """The gradients of ``gru``'s x and weights, from that of its states.

        Args:
            x, weights, counts: what ``gru`` was given.
            made: what it returned.
            of_states: (P, H).
            asked: whether the gradient of x is asked for; there is None where it is not.
        """
        of_x = torch.empty_like(x) if asked else None

        def run(sequences: tuple[int, int]) -> list[Tensor]:
            of_weights = _empty(weights)
            sizes = len(counts), x.shape[1], weights[1].shape[1], *sequences
            self._call("gru_back", x, weights, *made, of_states, of_x, of_weights, counts, sizes)
            return of_weights

        return of_x, _sums(at_once(run, _parts(counts[0], 2)))

    def linear(self, parts: Sequence[Tensor], weight: Tensor, bias: Tensor | None) -> Tensor:
        """W x + b (``linear_of_parts``), (R, outputs).

        Args:
            parts: (R, I_1), (R, I_2), ..., side by side in x.
            weight, bias: (outputs, I_1 + I_2 + ...), (outputs,) or None.
        """
        rows, (outputs, inputs) = len(parts[0]), weight.shape
        y = parts[0].new_empty(rows, outputs)
        self._call("linear", *_beside(parts), weight, bias, y, rows, inputs, outputs)
        return y

    def linear_back(
        self, parts: Sequence[Tensor], weight: Tensor, of_y: Tensor, asked: Sequence[bool]
    ) -> tuple[Tensor, Tensor, list[Tensor | None]]:
        """The gradients of ``linear``'s weight, bias and parts (see ``mlp_back``)."""
        rows, (outputs, inputs) = len(parts[0]), weight.shape
        of_weight, of_bias = torch.empty_like(weight), weight.new_empty(outputs)
        of_parts = _empty(parts, asked)
        given = *_beside(parts), weight, of_y, of_parts, of_weight, of_bias
        self._call("linear_back", *given, rows, inputs, outputs)
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
        self._call("mlp", *_beside(parts), _three(weights), hidden, y, rows, sizes)
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
        of_weights, of_parts = _empty(weights), _empty(parts, asked)
        given = *_beside(parts), _three(weights), hidden, of_y, of_parts, _three(of_weights)
        self._call("mlp_back", *given, len(hidden), _sizes_of_mlp(weights))
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
        self._call("mix", q_values, *_beside(state), weights, mixed, rows, (agents, *sizes))
        return mixed

    def pack_agent(self, weights: Sequence[Tensor], sizes: Sequence[int]) -> Tensor:
        """What ``sale_values`` reads of the weights, as they are now.

        Args:
            weights: those of ``fill_agent`` in kernels.c, in its order.
            sizes: A, D, H, E, hidden size of f and g, width of the head.
        """
        packed = weights[0].new_empty(self._size_of_agent(sizes))
        self._pack_agent(weights, packed, sizes)
        return packed

    def sale_values(
        self,
        read: tuple[Tensor, Tensor, Tensor | None, Tensor | None],
        packed: Tensor,
        sizes: Sequence[int],
        keep: bool = False,
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Agents' values of actions (``CandidateActionSaleAgent``).

        Args:
            read: hidden (R, H), obs (R, D); (R, A) bool and (R,) int64, legal and chosen actions,
                or None where these are not asked.
            packed, sizes: see ``pack_agent``.
            keep: whether ``sale_values_back`` will be asked.

        Returns:
            (R, A), of illegal actions any number; (R,), of chosen ones; what ``sale_values_back``
            needs, (R, .). None for what is not asked.
        """
        hidden, _, legal, chosen = read
        rows, (*_, embedding, wide, head) = len(hidden), sizes
        values = None if legal is None else hidden.new_empty(legal.shape)
        of_chosen = None if chosen is None else hidden.new_empty(rows)
        kept = hidden.new_empty(rows, 2 * embedding + wide + head + 1) if keep else None
        given = *read, packed, values, of_chosen, kept
        at_once(lambda part: self._call("sale_values", *given, *part, sizes), _parts(rows))
        return values, of_chosen, kept

    def sale_values_back(
        self,
        given: Sequence[Tensor],
        weights: Sequence[Tensor],
        sizes: Sequence[int],
        kept: Tensor,
        of_values: Tensor,
        asked: bool,
    ) -> tuple[Tensor | None, list[Tensor]]:
        """The gradients of ``sale_values``' hidden and of its weights but those of f and g.

        Args:
            given: hidden, obs, chosen of ``sale_values``.
            weights, sizes: see ``pack_agent``.
            kept: what it returned.
            of_values: (R,), of the chosen ones' values.
            asked: whether the gradient of hidden is asked for; there is None where it is not.
        """
        hidden = given[0]
        of_hidden = torch.empty_like(hidden) if asked else None
        read = *given, weights, kept, of_values, of_hidden

        def run(rows: tuple[int, int]) -> list[Tensor]:
            of_weights = _empty(weights[6:])
            self._call("sale_values_back", *read, of_weights, *rows, sizes)
            return of_weights

        return of_hidden, _sums(at_once(run, _parts(len(hidden), 4)))

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
        given = *read, weights, latents
        at_once(lambda part: self._call("imagine", *given, *part, horizon, sizes), _parts(steps))
        return latents

    def sale_loss(
        self,
        read: tuple[Tensor, Tensor, Tensor, Tensor],
        weights: Sequence[Tensor],
        scale: float,
    ) -> tuple[Tensor, list[Tensor]]:
        """L(f, g) (``nets/sale.py``), and gradients of ``scale`` times it.

        Args:
            read: x (R, inputs), action (R, numbers), the row one step before each or -1 (R,) int32,
                what the rows after a learned step count (R,).
            weights: f's and g's, first and last layer, each with its bias.

        Returns:
            () and the gradient of each of ``weights``.
        """
        x, action = read[:2]
        width, size = weights[2].shape[1], weights[2].shape[0]
        z, z_a, loss = x.new_empty(len(x), size), x.new_empty(len(x), size), x.new_empty(())
        gradients = _empty(weights)
        sizes = *x.shape, action.shape[1], width, size
        self._call("sale_loss", *read, scale, weights, gradients, z, z_a, loss, sizes)
        return loss, gradients

    def model_losses(
        self,
        read: tuple[Sequence[Tensor], Sequence[Tensor], Tensor, Tensor],
        weights: Sequence[Tensor],
        scales: Sequence[float],
        sizes: Sequence[int],
    ) -> tuple[Tensor, list[Tensor]]:
        """The losses of a world model, and gradients of their sum, each ``scales`` times.

        Args:
            read: data, actions, before, first, as ``model_losses`` in kernels/model_losses.h has
                them.
            weights: those of ``lay_out`` in kernels/learned.h, in its order.
            scales: ``by`` of ``model_losses``.
            sizes: N, A, D, H, L, numbers of an embedded action, width.

        Returns:
            (9,), in the order that is said there, and the gradient of each of ``weights``.
        """
        losses = weights[0].new_empty(9)
        gradients = _empty(weights)
        shape = len(read[2]), *sizes
        self._call("model_losses", *read, weights, gradients, losses, scales, shape)
        return losses, gradients


def _sums(parts: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """The gradients of weights, of those of some rows each."""
    return [sum(each[1:], each[0]) for each in zip(*parts, strict=True)]


def _parts(count: int, number: int | None = None) -> list[tuple[int, int]]:
    """0 to ``count`` in parts, which threads take in turn.

    Args:
        number: of parts; by default an even one, and one alone where there are few rows.
    """
    if number is None:
        number = 1 if count <= _FEW else 2 * -(-count // (4 * _FEW))
    ends = [count * part // number for part in range(number + 1)]
    return list(zip(ends, ends[1:], strict=False))


def _beside(parts: Sequence[Tensor]) -> tuple[Sequence[Tensor], list[int], int]:
    """Matrices (R, I_1), (R, I_2), ... that lie side by side."""
    return parts, [part.shape[1] for part in parts], len(parts)


def _three(weights: Sequence[Tensor]) -> list[Tensor | None]:
    """The weights and biases of two or three layers."""
    return [*weights, None, None][:6]


def _empty(tensors: Sequence[Tensor], asked: Sequence[bool] | None = None) -> list[Any]:
    """Room for gradients; None for those that are not asked."""
    asked = asked or [True] * len(tensors)
    return [torch.empty_like(t) if a else None for t, a in zip(tensors, asked, strict=True)]


def _sizes_of_mlp(weights: Sequence[Tensor]) -> tuple[int, int, int]:
    """Inputs, width, outputs."""
    return weights[0].shape[1], weights[0].shape[0], weights[2].shape[0]
