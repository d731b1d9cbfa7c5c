"""Settings: where they come from, and what rubbish is answered with."""

from pathlib import Path

import pytest

from infra.settings import Settings, SettingsError, load_settings


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_with_nothing_set_everything_is_embedded(tmp_path: Path) -> None:
    settings = load_settings()
    assert settings.kafka.bootstrap_servers is None
    assert settings.postgres.dsn is None
    assert settings.home == tmp_path / ".kafold"


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("kafold.toml").write_text('partitions = 8\n[kafka]\nport = 1234\nbootstrap_servers = "file:1"\n')
    monkeypatch.setenv("KAFOLD_KAFKA__BOOTSTRAP_SERVERS", "environment:1")
    settings = load_settings()
    assert (settings.partitions, settings.kafka.port) == (8, 1234)
    assert settings.kafka.bootstrap_servers == "environment:1"


def test_the_caller_wins_over_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFOLD_PARTITIONS", "8")
    assert load_settings(partitions=2).partitions == 2


def test_another_file_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("other.toml").write_text('[kafka.properties]\n"security.protocol" = "SSL"\n')
    monkeypatch.setenv("KAFOLD_CONFIG", "other.toml")
    assert load_settings().kafka.properties == {"security.protocol": "SSL"}


def test_a_password_is_not_shown() -> None:
    assert "hunter2" not in repr(load_settings(postgres={"dsn": "postgresql://u:hunter2@db/x"}))


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("KAFOLD_PARTITION", "4", "unknown setting KAFOLD_PARTITION: unset it, or use one of home, kafka,"),
        ("KAFOLD_KAFKA__PROT", "1", "unknown setting kafka.prot (or KAFOLD_KAFKA__PROT): remove it, or use one of"),
        (
            "KAFOLD_PARTITIONS",
            "many",
            "bad value for setting partitions (or KAFOLD_PARTITIONS): Input should be a valid",
        ),
        ("KAFOLD_PARTITIONS", "0", "greater than or equal to 1"),
        ("KAFOLD_KAFKA__PORT", "70000", "less than or equal to 65535"),
        ("KAFOLD_KAFKA", "{", 'error parsing value for field "kafka"'),
        ("KAFOLD_REGISTRY__URL", "localhost:8081", "registry.url"),
        ("KAFOLD_CONFIG", "missing.toml", "cannot read the settings file missing.toml"),
    ],
)
def test_rubbish_is_one_line_that_names_it(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, says: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_secret_is_not_in_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFOLD_POSTGRES", '{"dns": "postgresql://u:hunter2@db/x"}')
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


def test_a_broken_file_is_told_with_its_line() -> None:
    Path("kafold.toml").write_text("partitions = \n")
    with pytest.raises(SettingsError, match=r"kafold.toml is not TOML.*line 1"):
        load_settings()


def test_every_setting_is_described() -> None:
    for field in Settings.model_fields.values():
        assert field.description


def test_the_example_file_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with every key that it shows: the comment marks are taken off."""
    example = Path(__file__).parents[2] / "infra" / "kafold.example.toml"
    lines = [line.removeprefix("# ") for line in example.read_text().splitlines()[3:]]
    Path("full.toml").write_text("\n".join(lines))
    monkeypatch.setenv("KAFOLD_CONFIG", "full.toml")
    assert load_settings().api.port == 8000
