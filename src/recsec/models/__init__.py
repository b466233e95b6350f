"""Recommenders: one architecture per file. Of histories: one contract. Of photos: the encoder."""

from recsec.models.base import (
    Incremental,
    ModelConfig,
    PhotoEncoder,
    Precision,
    Recommender,
    ScheduleConfig,
    Training,
    mask_history,
    top_k,
)
from recsec.models.checkpoint import load, read_config, save_checkpoint, weights_digest
from recsec.models.remembered import Remembered, recall, remember
from recsec.models.sequential.bert4rec import Bert4Rec, Bert4RecConfig
from recsec.models.sequential.markov import Markov, MarkovConfig
from recsec.models.sequential.meanpool import MeanPool, MeanPoolConfig
from recsec.models.sequential.narm import Narm, NarmConfig
from recsec.models.sequential.objectives.sampled import why_sampled
from recsec.models.sequential.popularity import Popularity, PopularityConfig
from recsec.models.sequential.sasrec import SasRec, SasRecConfig
from recsec.models.tensors import load_tensors, tensor_bytes
from recsec.models.trainer import check_device, resolve_device
from recsec.models.training import is_first_process, train, train_into
from recsec.models.visual.checkpoint import (
    encoder_fingerprint,
    load_encoder,
    load_items,
    save_encoder,
)
from recsec.models.visual.embedding import catalog_features, embed
from recsec.models.visual.encoder import Encoder, EncoderConfig, Heads, frozen_copy
from recsec.models.visual.index import ExactIndex
from recsec.models.visual.resnet import Resnet, ResnetConfig
from recsec.models.visual.training import PhotoObjective, new_encoder, train_encoder

__all__ = [
    "Bert4Rec",
    "Bert4RecConfig",
    "Encoder",
    "EncoderConfig",
    "ExactIndex",
    "Heads",
    "Incremental",
    "Markov",
    "MarkovConfig",
    "MeanPool",
    "MeanPoolConfig",
    "ModelConfig",
    "Narm",
    "NarmConfig",
    "PhotoEncoder",
    "PhotoObjective",
    "Popularity",
    "PopularityConfig",
    "Precision",
    "Recommender",
    "Remembered",
    "Resnet",
    "ResnetConfig",
    "SasRec",
    "SasRecConfig",
    "ScheduleConfig",
    "Training",
    "catalog_features",
    "check_device",
    "embed",
    "encoder_fingerprint",
    "frozen_copy",
    "is_first_process",
    "load",
    "load_encoder",
    "load_items",
    "load_tensors",
    "mask_history",
    "new_encoder",
    "read_config",
    "recall",
    "remember",
    "resolve_device",
    "save_checkpoint",
    "save_encoder",
    "tensor_bytes",
    "top_k",
    "train",
    "train_encoder",
    "train_into",
    "weights_digest",
    "why_sampled",
]
