"""MLflow."""

from halo_adapters.mlflow.adapter import MLflowAdapter

__all__ = ["MLflowAdapter"]
