"""Tell other systems about decisions: signed, and again until they have it."""

from recsec.serving.webhooks.sender import Sender, Undelivered, deliver
from recsec.serving.webhooks.settings import Webhook, sample
from recsec.serving.webhooks.signature import signature

__all__ = ["Sender", "Undelivered", "Webhook", "deliver", "sample", "signature"]
