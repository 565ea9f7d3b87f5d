"""The referee: sees all files, as nobody in the federation does, and compares. The product never pools data."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import statsmodels.api as sm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from demo.hospitals import Study

Array = npt.NDArray[Any]


def pooled_fit(study: Study) -> tuple[Array, Array]:
    """Coefficients and standard errors of the logistic regression on all hospitals' rows together (statsmodels)."""
    design = np.concatenate([x for x, _ in study.train.values()])
    outcome = np.concatenate([y for _, y in study.train.values()])
    model = sm.GLM(outcome, design, family=sm.families.Binomial())
    fitted = model.fit(tol=1e-14, maxiter=200, wls_method="qr")
    return np.asarray(fitted.params), np.asarray(fitted.bse)


def auc_of(study: Study, coefficients: Array) -> float:
    """Area under the curve on the held-out rows."""
    design, outcome = study.test
    return float(roc_auc_score(outcome, design @ coefficients))


def auc_alone(study: Study, hospital: str) -> float:
    """The same for a model from one hospital's rows alone; lightly penalised, since few rows may separate."""
    design, outcome = study.train[hospital]
    scaler = StandardScaler().fit(design[:, 1:])
    model = LogisticRegression(C=10.0, max_iter=1000).fit(scaler.transform(design[:, 1:]), outcome)
    test, truth = study.test
    return float(roc_auc_score(truth, model.decision_function(scaler.transform(test[:, 1:]))))


def max_relative_difference(federated: Array, pooled: Array) -> float:
    """The largest difference between coefficients, relative to the pooled one."""
    return float(np.max(np.abs(federated - pooled) / np.abs(pooled)))
