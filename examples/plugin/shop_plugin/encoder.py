from recsec.models import Resnet, ResnetConfig


class TinyConfig(ResnetConfig):
    """A smaller network, trained for longer."""

    widths: tuple[int, ...] = (16, 32, 64)
    epochs: int = 12


class Tiny(Resnet):
    """A residual network for small catalogs."""

    config_class = TinyConfig
