"""What a user may write about other tools that get a run's figures. No I/O."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from deepcoder_api.specification import SecretName, ShortText, Specification

Url = Annotated[str, Field(max_length=1024, pattern=r"^https?://[^\s]+$")]


class WandbSpec(Specification):
    """Weights & Biases, by its own client. The run there has this run's uid as its id."""

    project: ShortText = Field(description="Project there; it is made when it is not there.")
    entity: ShortText | None = Field(
        default=None, description="User or team that the project is of; without it the key's own."
    )
    url: Url | None = Field(default=None, description="Of a server of your own; without it W&B's.")
    secret_name: SecretName | None = Field(default=None, description="Secret with WANDB_API_KEY.")


class MlflowSpec(Specification):
    """An MLflow tracking server, by MLflow's own client. The run there has this run's uid as its tag deepcoder.uid."""

    url: Url = Field(description="Of the tracking server.")
    experiment: ShortText = Field(description="Name of the experiment; it is made when it is not there.")
    secret_name: SecretName | None = Field(
        default=None,
        description="Secret with MLFLOW_TRACKING_TOKEN, or MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, for "
        "a server that asks for them.",
    )


class TrackingSpec(Specification):
    """Where figures of the steps go beside the report that every run has. No failure there ends or delays a run."""

    tensorboard: bool = Field(
        default=False, description="Write TensorBoard's event file into the run's folder in S3, with each report."
    )
    wandb: WandbSpec | None = Field(default=None, description="Send them to Weights & Biases.")
    mlflow: MlflowSpec | None = Field(default=None, description="Send them to an MLflow tracking server.")
