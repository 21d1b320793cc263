"""The command line of the training scripts: defaults, recipes, overrides."""

from dataclasses import dataclass
from typing import Literal

import pytest

from training.engine import cli


@dataclass(frozen=True)
class Model:
    """A part of the settings."""

    width: int = 1


@dataclass(frozen=True)
class Config:
    """Settings."""

    steps: int = 10
    seed: int = 0
    model: Model = Model()


RECIPES = {"released": Config(steps=500, model=Model(64))}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", Config()),
        ("--steps 3 --model.width 5", Config(3, 0, Model(5))),
        ("--recipe released", RECIPES["released"]),
        ("--recipe=released --seed 7", Config(500, 7, Model(64))),
        ("--model.width 2 --recipe released", Config(500, 0, Model(2))),
    ],
)
def test_flags_override_the_recipe_and_the_recipe_the_defaults(line: str, expected: Config):
    assert cli.parse(Config, RECIPES, line.split()) == expected


def test_an_unknown_recipe_is_refused_with_the_known_names(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        cli.parse(Config, RECIPES, ["--recipe", "best"])
    error = capsys.readouterr().err
    assert "best" in error
    assert "released" in error


def test_help_names_the_recipes(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        cli.parse(Config, RECIPES, ["--help"])
    assert "--recipe NAME" in capsys.readouterr().out


def test_a_script_without_recipes_has_no_such_option(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        cli.parse(Config, {}, ["--recipe", "released"])
    assert "recipe" in capsys.readouterr().err


@dataclass(frozen=True)
class KindConfig:
    """Settings whose recipes differ by kind."""

    kind: Literal["small", "large"] = "small"
    steps: int = 10


KINDS = {"released": {"small": KindConfig("small", 20), "large": KindConfig("large", 30)}}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--kind large", KindConfig("large")),
        ("--recipe released", KindConfig("small", 20)),
        ("--kind large --recipe released", KindConfig("large", 30)),
        ("--recipe released --steps 3 --kind=large", KindConfig("large", 3)),
    ],
)
def test_a_recipe_may_differ_by_kind_and_a_command_gives_its_settings(
    line: str, expected: KindConfig
):
    assert cli.parse(KindConfig, KINDS, line.split()) == expected
    command = cli.command("x.py", expected, KINDS)
    assert cli.parse(KindConfig, KINDS, command.split()[2:]) == expected


def test_an_unknown_kind_of_a_recipe_is_refused(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        cli.parse(KindConfig, KINDS, ["--recipe", "released", "--kind", "tiny"])
    assert "tiny" in capsys.readouterr().err


@dataclass(frozen=True)
class TinyVAEConfig:
    """One of two sorts of network."""

    width: int = 1
    sizes: tuple[int, int] = (2, 3)
    model: Model = Model()
    residual: bool = True


@dataclass(frozen=True)
class Codes2DConfig:
    """The other; it has a field that the first lacks."""

    codes: int = 4


@dataclass(frozen=True)
class ChoiceConfig:
    """Settings with choices among dataclasses."""

    network: TinyVAEConfig | Codes2DConfig | None = None
    steps: int = 10
    model: Model = Model()
    critic: Codes2DConfig | None = None


CHOICES = {
    "vae": ChoiceConfig(TinyVAEConfig(8), steps=1_000),
    "codes": ChoiceConfig(Codes2DConfig(16), steps=2_000, critic=Codes2DConfig(5)),
}


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (ChoiceConfig(TinyVAEConfig()), "network:tiny-vae-config"),
        (ChoiceConfig(model=Model(7)), "--model.width 7"),
        (
            ChoiceConfig(Codes2DConfig(8), steps=1_000, model=Model(7)),
            "--recipe vae --model.width 7 network:codes2-d-config --network.codes 8",
        ),
        (
            ChoiceConfig(TinyVAEConfig(8, (5, 6), Model(2), False), steps=1_000),
            "--recipe vae network:tiny-vae-config --network.sizes 5 6 --network.model.width 2 "
            "--network.no-residual",
        ),
        (
            ChoiceConfig(Codes2DConfig(17), steps=2_000, critic=Codes2DConfig(6)),
            "--recipe codes network:codes2-d-config --network.codes 17 "
            "critic:codes2-d-config --critic.codes 6",
        ),
        (ChoiceConfig(None, steps=1_000), "--recipe vae network:none"),
    ],
)
def test_a_command_gives_nested_settings_and_those_of_another_type(
    config: ChoiceConfig, expected: str
):
    command = cli.command("x.py", config, CHOICES)
    assert cli.parse(ChoiceConfig, CHOICES, command.split()[2:]) == config
    assert command == f"python x.py {expected}"
