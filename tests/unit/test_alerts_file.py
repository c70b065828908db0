"""The file that says who is told: every error at its line, no secret shown, quiet hours by zone."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.alerts.loading import load_alerts, read_alerts
from orchestrator.alerts.quiet import QuietHours
from orchestrator.alerts.secret import Secret
from orchestrator.alerts.sending import signature
from orchestrator.errors import AlertError
from orchestrator.inputs.source import parse_source
from orchestrator.schemas import alerts_schema
from orchestrator.telling import Severity

GOOD = """\
lab: Lab 7
per_hour: 2
quiet_hours: {begin: "22:00", end: "07:00", zone: Europe/Zurich}
mail:
  - name: people
    host: smtp.example.org
    sender: operando@example.org
    to: [one@example.org, two@example.org]
    user: operando
    password: {env: OPERANDO_SMTP_PASSWORD}
webhook:
  - {name: chat, url: {file: chat.url}, least: unsafe, secret: {file: chat.key}}
"""


def written(tmp_path, text):
    path = tmp_path / "alerts.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file(tmp_path):
    alerts = read_alerts(written(tmp_path, GOOD))
    people, chat = alerts.channels
    assert (people.port_used, people.security, people.threshold) == (
        587,
        "starttls",
        Severity.DECISION,
    )
    assert people.password == Secret(env="OPERANDO_SMTP_PASSWORD")
    assert people.needs_environment
    assert not chat.needs_environment
    assert (chat.url, chat.threshold) == (Secret(file="chat.url"), Severity.UNSAFE)


def test_the_data_directorys_file_wins_over_the_users(tmp_path, monkeypatch):
    monkeypatch.setenv("OPERANDO_CONFIG", str(tmp_path / "config"))
    assert load_alerts(tmp_path / "data") is None
    for folder, lab in (("config", "user's"), ("data", "data's")):
        (tmp_path / folder).mkdir()
        written(tmp_path / folder, GOOD.replace("Lab 7", f"the {lab}"))
        assert load_alerts(tmp_path / "data").lab == f"the {lab}"
    assert load_alerts(None).lab == "the user's"


WRONG = [
    ("lab: Lab 7", "labb: Lab 7", "1:1: labb: is not a known key (did you mean lab?)"),
    ("per_hour: 2", "per_hour: 0", "2:11: per_hour: got 0, expected messages in an hour"),
    ('"22:00"', '"25:00"', "3:22: quiet_hours.begin: got '25:00'"),
    ("Europe/Zurich", "Europe/Zürich", "3:"),
    ('end: "07:00"', 'end: "22:00"', "leave quiet_hours out"),
    (
        "smtp.example.org",
        "smtp.example.org\n    security: none",
        "7:15: mail[0].security: got none",
    ),
    ("one@example.org", "one", "8:10: mail[0].to[0]: got 'one', expected a mail address"),
    ("    user: operando\n", "", "got one of user and password"),
    ("{env: OPERANDO_SMTP_PASSWORD}", "hunter2", "10:15: mail[0].password: got something that is "),
    ("{env: OPERANDO_SMTP_PASSWORD}", "{env: A, file: hunter2}", "not shown here"),
    ("{file: chat.url}", "http://chat.example.org/hunter2", "others can read and change"),
    ("{file: chat.url}", "https://me:hunter2@example.org/", "with a name or a password in it"),
    ("{file: chat.url}", "ftp://hunter2", "does not begin with https"),
    ("name: chat", "name: people", "got the name 'people' twice"),
    ("least: unsafe", "least: fatal", "12:48: webhook[0].least: got 'fatal'"),
]


@pytest.mark.parametrize(("good", "wrong", "said"), WRONG)
def test_what_is_wrong_is_said_at_its_place_and_no_secret_with_it(tmp_path, good, wrong, said):
    assert good in GOOD
    with pytest.raises(AlertError) as caught:
        read_alerts(written(tmp_path, GOOD.replace(good, wrong, 1)))
    text = str(caught.value)
    assert "alerts.yaml:" in text
    assert said in text
    assert "hunter2" not in text


def test_a_file_that_names_nobody(tmp_path):
    with pytest.raises(AlertError, match="names nobody"):
        read_alerts(written(tmp_path, "lab: Lab 7\n"))


def test_a_secret_comes_from_the_environment_or_a_file_of_its_owner_alone(tmp_path):
    assert Secret(env="X").read({"X": " hunter2\n"}) == "hunter2"
    with pytest.raises(AlertError, match=r"\$X: holds no secret"):
        Secret(env="X").read({})
    path = tmp_path / "key"
    path.write_text("hunter2\n")
    path.chmod(0o640)
    with pytest.raises(AlertError, match="mode 0640, expected 0600") as caught:
        Secret(file=str(path)).read()
    assert "hunter2" not in str(caught.value)
    path.chmod(0o600)
    assert Secret(file=str(path)).read() == "hunter2"
    for content in (b"", b"\xff", b"two\nlines"):
        path.write_bytes(content)
        with pytest.raises(AlertError):
            Secret(file=str(path)).read()
    with pytest.raises(AlertError, match="No such file"):
        Secret(file=str(tmp_path / "none")).read()


# --- quiet hours --------------------------------------------------------------------------------


def at(text, zone="Europe/Zurich"):
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


NIGHT = QuietHours(begin="22:00", end="07:00", zone="Europe/Zurich")


@pytest.mark.parametrize(
    ("now", "until"),
    [
        ("2026-11-26T21:59", None),
        ("2026-11-26T22:00", "2026-11-27T07:00"),
        ("2026-11-27T06:59", "2026-11-27T07:00"),
        ("2026-11-27T07:00", None),
        ("2026-12-31T23:30", "2027-01-01T07:00"),
        ("2026-03-28T23:00", "2026-03-29T07:00"),  # one hour less that night
        ("2026-10-24T23:00", "2026-10-25T07:00"),  # one more
    ],
)
def test_nights(now, until):
    assert NIGHT.until(at(now)) == (None if until is None else at(until))


def test_a_day(tmp_path):
    noon = QuietHours(begin="12:00", end="13:30", zone="Asia/Kolkata")
    assert noon.until(at("2026-05-01T12:10", "Asia/Kolkata")) == at(
        "2026-05-01T13:30", "Asia/Kolkata"
    )
    assert noon.until(at("2026-05-01T13:30", "Asia/Kolkata")) is None


@settings(max_examples=300, deadline=None)
@given(
    begin=st.times(),
    end=st.times(),
    zone=st.sampled_from(["Europe/Zurich", "America/St_Johns", "Australia/Lord_Howe", "UTC"]),
    now_s=st.floats(1.7e9, 1.9e9),
)
def test_quiet_hours_end_within_a_day_and_are_over_then(begin, end, zone, now_s):
    """Row 32: clocks are changed meanwhile."""
    begin, end = f"{begin:%H:%M}", f"{end:%H:%M}"
    if begin == end:
        return
    quiet = QuietHours(begin=begin, end=end, zone=zone)
    until = quiet.until(now_s)
    if until is None:
        return
    assert now_s < until <= now_s + 25 * 3600.0
    for _ in range(70):  # an hour that is shown twice may be looked at each minute
        again = quiet.until(until)
        if again is None:
            break
        assert again > until
        until = again
    assert quiet.until(until) is None


def test_the_file_of_the_how_to_is_a_file_of_alerts_by_model_and_by_schema(tmp_path):
    page = Path(__file__).parents[2] / "docs" / "how-to" / "get-told.md"
    (block,) = re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    alerts = read_alerts(written(tmp_path, block))
    assert [one.name for one in alerts.channels] == ["people", "chat"]
    schema = jsonschema.Draft202012Validator(alerts_schema())
    for text, right in ((block, True), (GOOD, True), (block.replace("zone", "tone"), False)):
        assert schema.is_valid(parse_source(text.encode(), "alerts.yaml").data) is right
    assert not schema.is_valid({"mail": [{"password": "hunter2"}]})


def test_the_check_of_a_signature_on_the_page_is_that_of_the_sender():
    page = Path(__file__).parents[2] / "docs" / "how-to" / "get-told.md"
    code = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)[0]
    names = {}
    exec(code, names)  # noqa: S102 - our own page
    headers = {"X-Operando-Time": "1000", "X-Operando-Signature": signature("k", 1000, b"{}")}
    assert names["is_ours"](b"k", headers, b"{}", 1200.0)
    assert not names["is_ours"](b"k", headers, b"{}", 1400.0)
    assert not names["is_ours"](b"k", headers, b"{ }", 1200.0)
    assert not names["is_ours"](b"other", headers, b"{}", 1200.0)
