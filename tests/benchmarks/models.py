"""The models that several benchmarks use."""

from models import settings

# As in gin/model/tiny.gin.
TINY = settings.SiglipSettings(
    settings.ImageTowerSettings(size=48, patch=12, width=128, depth=4, heads=4, mlp_dim=512),
    settings.TextTowerSettings(length=22, width=128, depth=2, heads=4, mlp_dim=512),
)

# As in gin/model/one_tower_mini.gin, but as wide as TINY.
ONE_TOWER = settings.OneTowerSettings(
    size=48, patch=8, length=22, width=128, depth=4, heads=4, mlp_dim=512, projection_dim=128
)
