"""The models of `train`: softmax regression, or one hidden layer of tanh before it, as one flat vector of numbers.

The first class is the reference: its logit is 0, every other class has one of its own. With two classes and no hidden
layer that is logistic regression. Bishop, Pattern Recognition and Machine Learning, sections 4.3.4 and 5.1 to 5.3.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

_MANTISSA: Final = 53


@dataclass(frozen=True, slots=True)
class Network:
    """inputs: terms. hidden: units of the hidden layer, 0 for none. classes: of the outcome."""

    inputs: int
    hidden: int
    classes: int

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The layers in the order in which they lie in the vector."""
        outputs = self.classes - 1
        if not self.hidden:
            return {"weights": (self.inputs, outputs), "biases": (outputs,)}
        return {
            "hidden_weights": (self.inputs, self.hidden),
            "hidden_biases": (self.hidden,),
            "weights": (self.hidden, outputs),
            "biases": (outputs,),
        }

    @property
    def size(self) -> int:
        """Numbers of the model."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def layers(self, model: Vector) -> dict[str, NDArray[np.float64]]:
        """The vector as layers: views, not copies."""
        found, at = {}, 0
        for name, shape in self.shapes.items():
            length = math.prod(shape)
            found[name] = model[at : at + length].reshape(shape)
            at += length
        return found

    def start(self, seed: int) -> Vector:
        """The first model, bit for bit the same on every machine.

        Zero without a hidden layer; else weights uniform as by Glorot and Bengio, "Understanding the difficulty of
        training deep feedforward neural networks", AISTATS 2010, equation 16, and biases zero.
        """
        model = np.zeros(self.size)
        if not self.hidden:
            return model
        drawn = np.frombuffer(hashlib.shake_256(f"train/{seed}".encode()).digest(8 * self.size), "<u8")
        uniform = (drawn >> np.uint64(64 - _MANTISSA)).astype(np.float64) * 2.0 ** (1 - _MANTISSA) - 1.0
        for name, layer in self.layers(model).items():
            if name.endswith("weights"):
                layer[...] = self.layers(uniform)[name] * math.sqrt(6 / sum(layer.shape))
        return model

    def probabilities(self, model: Vector, x: Matrix) -> Matrix:
        """Of each class, shape (rows, classes), for standardised terms x of shape (rows, inputs)."""
        return self._forward(self.layers(model), x)[1]

    def gradient(self, model: Vector, x: Matrix, y: NDArray[np.intp]) -> Vector:
        """Of the rows' mean cross-entropy. y: classes, shape (rows,)."""
        layers = self.layers(model)
        gradient = np.empty(self.size)
        out = self.layers(gradient)
        activation, probabilities = self._forward(layers, x)
        probabilities[np.arange(len(y)), y] -= 1.0
        error = probabilities[:, 1:] / len(y)
        out["weights"][...] = activation.T @ error
        out["biases"][...] = error.sum(axis=0)
        if self.hidden:
            back = (error @ layers["weights"].T) * (1.0 - np.square(activation))
            out["hidden_weights"][...] = x.T @ back
            out["hidden_biases"][...] = back.sum(axis=0)
        return gradient

    def _forward(self, layers: dict[str, NDArray[np.float64]], x: Matrix) -> tuple[Matrix, Matrix]:
        activation = np.tanh(x @ layers["hidden_weights"] + layers["hidden_biases"]) if self.hidden else x
        logits = np.zeros((len(x), self.classes))
        logits[:, 1:] = activation @ layers["weights"] + layers["biases"]
        logits -= logits.max(axis=1, keepdims=True)
        exponentials = np.exp(logits)
        return activation, exponentials / exponentials.sum(axis=1, keepdims=True)
