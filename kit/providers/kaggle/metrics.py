"""Kaggle's names of metrics -> kit's. Only names that leave no doubt are in the table.

Kaggle spells one metric in several ways ("Roc Auc Score", "Area Under Receiver Operating
Characteristic Curve"), so names are compared without case, blanks and punctuation. The names are
those of the list of metrics on Kaggle and of real competitions. Standard library only.
"""

from __future__ import annotations

import re
import unicodedata

_NAMES = {
    "accuracy": (
        "Accuracy", "Accuracy Score", "Categorization Accuracy", "Classification Accuracy",
    ),
    "balanced_accuracy": ("Balanced Accuracy", "Balanced Accuracy Score"),
    "roc_auc": (
        "Area Under Receiver Operating Characteristic Curve", "ROC AUC", "Roc Auc Score", "AUC",
        "AUC ROC", "Area Under the ROC Curve", "Area Under ROC Curve",
        "Area Under the Receiver Operating Characteristic Curve",
        "Mean Columnwise Area Under Receiver Operating Characteristic Curve",
        "Mean Column-wise AUC", "Mean Columnwise ROC AUC",
    ),
    "average_precision": (
        "Average Precision", "Average Precision Score", "Area Under Precision Recall Curve",
    ),
    "log_loss": (
        "Log Loss", "LogLoss", "Logarithmic Loss", "Multi Class Log Loss", "Multiclass Log Loss",
        "Multi-class Logarithmic Loss", "Multiclass Loss", "Mean Columnwise Log Loss",
        "Mean Column-wise Log Loss", "Binary Log Loss", "Cross Entropy",
    ),
    "balanced_log_loss": ("Balanced Log Loss", "Balanced Logarithmic Loss"),
    "gini": ("Normalized Gini", "Normalized Gini Index", "Normalized Gini Coefficient"),
    "map_at_3": ("Mean Average Precision @ 3", "MAP@3"),
    "map_at_5": ("Mean Average Precision @ 5", "MAP@5"),
    "map_at_10": ("Mean Average Precision @ 10", "MAP@10"),
    "ndcg_at_5": ("NDCG@5", "Normalized Discounted Cumulative Gain @ 5"),
    "brier": ("Brier Score", "Brier Score Loss"),
    "f1": ("F1", "F1 Score", "F1 Score Binary", "Binary F1 Score"),
    "f1_macro": ("Macro F1", "Macro F1 Score", "F1 Score Macro", "Macro F-Score", "F1 Macro"),
    "f1_micro": ("Micro F1", "Micro F1 Score", "F1 Score Micro", "F-Score (Micro)", "F1 Micro"),
    "f1_weighted": ("Weighted F1", "Weighted F1 Score", "F1 Score Weighted"),
    "f1_samples": ("Mean F-Score", "F1 Score Samples"),  # per row of a multilabel task
    "f2_samples": ("Mean F2-Score", "F2 Score Samples"),
    "mcc": (
        "Matthews Correlation Coefficient", "Matthews Corrcoef", "MCC",
        "Matthew's Correlation Coefficient",
    ),
    "quadratic_kappa": (
        "Quadratic Weighted Kappa", "Quadratic Kappa", "Cohen Kappa Score Quadratic",
    ),
    "rmse": (
        "Root Mean Squared Error", "RMSE", "Root Mean Square Error", "Root Mean Squared Error RMSE",
        "Mean Columnwise Root Mean Squared Error", "Mean Column-wise Root Mean Squared Error",
        "MCRMSE", "Mean Columnwise RMSE",
    ),
    "mse": ("Mean Squared Error", "MSE"),
    "rmspe": ("Root Mean Square Percentage Error", "Root Mean Squared Percentage Error", "RMSPE"),
    "rmsle": (
        "Root Mean Squared Logarithmic Error", "RMSLE", "Root Mean Squared Log Error",
        "Mean Columnwise Root Mean Squared Logarithmic Error",
    ),
    "mae": ("Mean Absolute Error", "MAE", "Mean Columnwise Mean Absolute Error"),
    "medae": ("Median Absolute Error", "MedAE"),
    "mape": ("Mean Absolute Percentage Error", "MAPE"),
    "smape": ("Symmetric Mean Absolute Percentage Error", "SMAPE", "Symmetric MAPE"),
    "r2": ("R2 Score", "R2", "R Squared", "Coefficient of Determination"),
    "pearson": ("Pearson Correlation Coefficient", "Pearson Correlation", "Pearsonr"),
    "spearman": (
        "Spearman's Rank Correlation Coefficient", "Spearman Correlation", "Spearman's Rho",
        "Spearman Rank Correlation", "Spearmanr", "Mean Columnwise Spearman's",
    ),
}  # fmt: skip


def normal(name: str) -> str:
    """A name without case, accents, blanks, punctuation and small words."""
    plain = unicodedata.normalize("NFKD", name.replace("²", "2")).casefold()
    words = re.findall(r"[a-z0-9]+", plain.replace("'s", "s").replace("’s", "s"))
    return "".join(word for word in words if word not in ("the", "of", "and"))


_KNOWN = {normal(spelled): metric for metric, names in _NAMES.items() for spelled in names}


def metric_of(name: str) -> str:
    """Kit's metric of that name, "" where there is none for sure.

    >>> metric_of("Roc Auc Score"), metric_of("Weighted Mean Absolute Error")
    ('roc_auc', '')
    """
    return _KNOWN.get(normal(name), "")
