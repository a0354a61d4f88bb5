"""All that a training is made of between two steps, as tensors by name: what is saved of it, and put back."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mainstem.core.weights import state_sha256

WEIGHT, FIRST, SECOND = "weights.", "first_moments.", "second_moments."
STEPS, RANDOM, CHANCE, RANDOM_CUDA = "steps", "random", "chance", "random_cuda"
FIRST_OF_ADAM, SECOND_OF_ADAM = "exp_avg", "exp_avg_sq"  # as torch.optim.AdamW calls its moments


@dataclass(kw_only=True, eq=False)
class TrainState:
    """The weights that learn, AdamW's state of each, the sources of chance of every process, and the steps done.

    What a module keeps beside weights that learn, as a running mean, belongs to them; `kept` are other tensors that
    change, as a teacher's. The rate and the place in the data are functions of the steps done.
    """

    module: nn.Module
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    kept: dict[str, Tensor]
    step: int = 0

    def learned(self) -> dict[str, nn.Parameter]:
        """Return the parameters that learn, by name."""
        return {name: one for name, one in self.module.named_parameters() if one.requires_grad}

    def weights(self) -> dict[str, Tensor]:
        """Return all that training changes but AdamW's moments: as they are, not copies."""
        found: dict[str, Tensor] = {**self.learned(), **self.kept}
        stored = self.module.state_dict(keep_vars=True)
        for path, module in self.module.named_modules():
            if any(parameter.requires_grad for parameter in module.parameters(recurse=False)):
                own = (name for name, _ in module.named_buffers(path, recurse=False))
                found |= {name: stored[name] for name in own if name in stored}
        return {f"{WEIGHT}{name}": value for name, value in found.items()}

    def tensors(self, rank: int, *, is_final: bool = False) -> dict[str, Tensor]:
        """Return what is to be saved by a process; at the end of a training, the weights alone."""
        if is_final:
            return self.weights()
        moments: dict[str, Tensor] = {}
        steps: list[float] = []
        for name, parameter in self.learned().items():
            state = self.optimizer.state.get(parameter, {})
            steps.append(float(state["step"]) if state else 0.0)
            if state:
                moments |= {FIRST + name: state[FIRST_OF_ADAM], SECOND + name: state[SECOND_OF_ADAM]}
        return {**self.weights(), **moments, STEPS: torch.tensor(steps), **self._chance(rank)}

    def _chance(self, rank: int) -> dict[str, Tensor]:
        found = {f"{RANDOM}.{rank}": torch.get_rng_state(), f"{CHANCE}.{rank}": self.generator.get_state()}
        if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            found[f"{RANDOM_CUDA}.{rank}"] = torch.cuda.get_rng_state()
        return found

    def places(self, names: set[str], rank: int) -> dict[str, Tensor]:
        """Return tensors to read a checkpoint of these names into: weights in place, room for all else."""
        found = self.weights()
        for name, parameter in self.learned().items():
            if FIRST + name in names:
                found |= {FIRST + name: torch.zeros_like(parameter), SECOND + name: torch.zeros_like(parameter)}
        if STEPS in names:
            found[STEPS] = torch.zeros(len(self.learned()))
        return found | {name: value for name, value in self._chance(rank).items() if name in names}

    def restore(self, step: int, tensors: dict[str, Tensor], rank: int) -> None:
        """Put back what was read into `places`; a process that was not there keeps the chance that it begins with."""
        self.step = step
        for count, (name, parameter) in enumerate(self.learned().items()):
            if FIRST + name in tensors:
                self.optimizer.state[parameter] = {
                    "step": tensors[STEPS][count].clone(),
                    FIRST_OF_ADAM: tensors[FIRST + name].detach(),
                    SECOND_OF_ADAM: tensors[SECOND + name].detach(),
                }
        if f"{RANDOM}.{rank}" in tensors:
            torch.set_rng_state(tensors[f"{RANDOM}.{rank}"])
            self.generator.set_state(tensors[f"{CHANCE}.{rank}"])
        if f"{RANDOM_CUDA}.{rank}" in tensors:
            torch.cuda.set_rng_state(tensors[f"{RANDOM_CUDA}.{rank}"])


def identity_of(module: nn.Module) -> dict[str, str]:
    """Return hashes of what a training begins with: of its trunk, and of all else."""
    state = module.state_dict()
    trunk = {name: value for name, value in state.items() if "trunk." in name}
    rest = {name: value for name, value in state.items() if name not in trunk}
    return {"trunk": state_sha256(trunk), "beginning": state_sha256(rest)}
