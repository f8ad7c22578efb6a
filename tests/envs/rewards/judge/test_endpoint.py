"""A judge on a server: what it sends, and what becomes of a server that hangs, errs, floods, lies or closes."""

from __future__ import annotations

import gzip
import json
import re
import time

import numpy as np
import pytest

from textgym.envs.rewards.judge import Judge, OpenAIBackend, Refusal
from textgym.envs.task import Problem

pytest.importorskip("openai", reason="needs the extra [judge]")
QUESTION = Problem("Why is the sky blue?")


@pytest.fixture
def backend(fake_server):
    """A function to a backend on the fake server; time_limit 5 s, no retry."""

    def make(**settings):
        return OpenAIBackend("fake", base_url=fake_server.url, **{"time_limit": 5.0, "retries": 0, **settings})

    return make


def score(backend, responses=("Air scatters blue light.",), **settings):
    judge = Judge(backend=backend, **settings)
    return judge, judge([QUESTION] * len(responses), list(responses))


def assert_failed(result, status):
    judge, found = result
    assert list(found.status) == [status] and np.isnan(found.total).all() and not found.success.any()
    return judge


def test_it_asks_and_scores(fake_server, backend, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret-key")
    judge, found = score(backend(prices=(1.0, 10.0), max_tokens=99))
    assert found.total.tolist() == [6 / 9] and found.status == ["ok"] and found.success.tolist() == [True]
    assert found.parts["judge_tokens"].tolist() == [120] and found.parts["judge_cost"] == pytest.approx(300 / 1e6)
    ((body, headers),) = fake_server.requests
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("fake", 0.0, 99)
    assert headers["authorization"] == "Bearer secret-key" and headers["accept-encoding"] == "identity"
    assert (judge.usage.calls, judge.usage.tokens) == (1, 120)
    assert "secret-key" not in repr(judge) + repr(vars(judge.backend)) + judge.name


def test_address_and_model_come_from_the_environment(fake_server, monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", fake_server.url)
    monkeypatch.setenv("TEXTGYM_JUDGE_MODEL", "named")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert score(OpenAIBackend())[1].total.tolist() == [6 / 9]
    assert fake_server.requests[0][0]["model"] == "named"
    monkeypatch.delenv("TEXTGYM_JUDGE_MODEL")
    with pytest.raises(ValueError, match="no model: name it, or set TEXTGYM_JUDGE_MODEL"):
        OpenAIBackend()


@pytest.mark.parametrize("how", ["hang", "hang_in_the_body"])
def test_a_server_that_hangs_is_a_time_out(fake_server, backend, how):
    fake_server.behave = [getattr(fake_server, how)]
    began = time.monotonic()
    with pytest.warns(RuntimeWarning, match="fake did not answer within 0.3 s"):
        judge = assert_failed(score(backend(time_limit=0.3, retries=4)), "timeout")
    assert time.monotonic() - began < 3
    assert judge.usage.timeouts == 1


@pytest.mark.parametrize("before", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 500 X\r\nContent-Length: 9999\r\n\r\n"])
def test_a_server_that_drips_does_not_get_more_time(fake_server, backend, before):
    fake_server.behave = [fake_server.drip(before)]
    began = time.monotonic()
    with pytest.warns(RuntimeWarning, match="within 0.4 s"):
        assert_failed(score(backend(time_limit=0.4)), "timeout")
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("status", [200, 429, 500])
def test_a_flood_is_cut(fake_server, backend, status):
    fake_server.behave = [fake_server.flood(status)]
    began = time.monotonic()
    with pytest.warns(RuntimeWarning, match="more than 1048576 bytes"):
        assert_failed(score(backend(time_limit=20.0)), "error")
    assert time.monotonic() - began < 10


def test_what_is_compressed_is_not_unpacked(fake_server, backend, completion):
    bomb = gzip.compress(json.dumps(completion("x" * 10_000_000)).encode())
    fake_server.behave = [fake_server.send(200, bomb, Content_Encoding="gzip")]
    with pytest.warns(RuntimeWarning, match="compressed"):
        assert_failed(score(backend()), "error")


def test_a_rate_limit_is_waited_for(fake_server, backend):
    limited = fake_server.send(429, {"error": {"message": "slow down"}}, Retry_After="0.4")
    fake_server.behave = [limited, limited, fake_server.score(10)]
    began = time.monotonic()
    assert score(backend(retries=2))[1].total.tolist() == [1.0]
    assert 0.8 <= time.monotonic() - began < 4 and len(fake_server.requests) == 3


def test_a_rate_limit_that_stays_is_an_error(fake_server, backend):
    fake_server.behave = [fake_server.send(429, {"error": {"message": "slow down"}}, Retry_After="0.05")]
    with pytest.warns(RuntimeWarning, match="status 429"):
        assert_failed(score(backend(retries=2)), "error")
    assert len(fake_server.requests) == 3


def test_a_rate_limit_longer_than_the_time_limit_is_a_time_out(fake_server, backend):
    fake_server.behave = [fake_server.send(429, {}, Retry_After="60")]
    with pytest.warns(RuntimeWarning, match=r"within 0\.3 s"):
        assert_failed(score(backend(time_limit=0.3, retries=2)), "timeout")


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 500, 503])
def test_a_status_is_an_error_and_its_text_stays_out_of_the_warning(fake_server, backend, status):
    fake_server.behave = [fake_server.send(status, {"error": {"message": "key sk-123 is bad"}}, Location="/v1")]
    with pytest.warns(RuntimeWarning, match=f"status {status}") as caught:
        assert_failed(score(backend()), "error")
    assert "sk-123" not in str(caught[0].message)


def test_errors_of_the_server_are_tried_again(fake_server, backend):
    fake_server.behave = [fake_server.send(500, {}), fake_server.close_at_once, fake_server.score(4)]
    assert score(backend(retries=2, time_limit=20.0))[1].total == pytest.approx(3 / 9)


@pytest.mark.parametrize("how", ["close_at_once", "close_in_the_body"])
def test_a_closed_connection_is_an_error(fake_server, backend, how):
    fake_server.behave = [getattr(fake_server, how)]
    with pytest.warns(RuntimeWarning, match="no answer from the server"):
        assert_failed(score(backend()), "error")


@pytest.mark.parametrize("settings", [{"retries": 0}, {"retries": 4, "time_limit": 2.0}])
def test_no_server_is_an_error_also_where_time_is_short(fake_server, backend, settings):
    there = backend(**settings)
    fake_server.close()
    with pytest.warns(RuntimeWarning, match=r"fake: no connection to http://127\.0\.0\.1.*Connect call failed"):
        judge = assert_failed(score(there), "error")
    assert (judge.usage.errors, judge.usage.timeouts) == (1, 0)


def test_a_host_that_nobody_knows_is_an_error():
    nowhere = OpenAIBackend("fake", base_url="http://nowhere.invalid/v1", retries=0)
    with pytest.warns(RuntimeWarning, match=r"no connection to http://nowhere\.invalid/v1"):
        assert_failed(score(nowhere), "error")


def test_a_server_that_hangs_after_it_was_not_there_is_a_time_out(fake_server, backend, monkeypatch):
    """Of the tries of one call, the last one says what was wrong."""
    import httpx2

    send, tries = httpx2.AsyncClient.send, []

    async def refused_once(client, *args, **kwargs):
        tries.append(args)
        if len(tries) == 1:
            raise httpx2.ConnectError("refused")
        return await send(client, *args, **kwargs)

    monkeypatch.setattr(httpx2.AsyncClient, "send", refused_once)
    fake_server.behave = [fake_server.hang]
    with pytest.warns(RuntimeWarning, match="did not answer within 2 s"):
        assert_failed(score(backend(retries=4, time_limit=2.0)), "timeout")
    assert len(tries) == 2


def test_a_batch_ends_where_there_is_no_server_and_the_next_one_tries_again(fake_server, backend):
    there = backend()
    answers = [f"Answer {i}." for i in range(12)]
    url, there.base_url = there.base_url, "http://127.0.0.1:1/v1"
    judge = Judge(backend=there, concurrency=2)
    with pytest.warns(RuntimeWarning, match="12 of 12 verdicts failed, the first with ConnectionError"):
        found = judge([QUESTION] * 12, answers)
    assert set(found.status) == {"error"} and np.isnan(found.total).all()
    assert 3 <= judge.usage.calls <= 4  # the fourth may have been under way
    there.base_url = url
    assert judge([QUESTION] * 12, answers).total.tolist() == [6 / 9] * 12


@pytest.mark.parametrize(
    "url", ["localhost:8000/v1", "ftp://host/v1", "/v1", "http://", "http://[::1", "http://h:99999"]
)
def test_what_is_no_address_is_named(url, monkeypatch):
    with pytest.raises(ValueError, match=f"base_url must be like .* got '{re.escape(url)}'"):
        OpenAIBackend("fake", base_url=url)
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    with pytest.raises(ValueError, match="base_url must be like"):
        OpenAIBackend("fake")


LIES = [
    {},
    [],
    None,
    "Score: 10",
    {"choices": []},
    {"choices": None},
    {"choices": 3},
    {"choices": [{}]},
    {"choices": [{"message": None}]},
    {"choices": [{"message": {"content": None}}]},
    {"choices": [{"message": {"content": ["Score: 10"]}}]},
    {"choices": [{"message": {"content": 10}}]},
    {"choices": {"0": {"message": {"content": "Score: 10"}}}},
    {"score": 10},
]


@pytest.mark.parametrize("lie", LIES, ids=repr)
def test_what_is_no_completion_is_an_error(fake_server, backend, lie):
    fake_server.behave = [fake_server.send(200, lie)]
    with pytest.warns(RuntimeWarning, match="server sent no"):
        assert_failed(score(backend()), "error")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b"[" * 200_000, b"<html>Score: 10</html>", b'{"choices": NaN}']
)
@pytest.mark.parametrize("kind", ["application/json", "text/html"])
def test_what_is_no_json_is_an_error(fake_server, backend, body, kind):
    fake_server.behave = [fake_server.send(200, body, kind)]
    with pytest.warns(RuntimeWarning, match="verdicts failed"):
        assert_failed(score(backend()), "error")


def test_lies_about_tokens_are_no_cost(fake_server, backend, completion, code_of):
    def lie(handler, body):
        said = completion(f"Score {code_of(body['messages'][0]['content'])}: 2")
        said["usage"] = {"prompt_tokens": -5, "completion_tokens": "many"}
        fake_server.send(200, said)(handler, body)

    fake_server.behave = [lie]
    _, found = score(backend(prices=(1.0, 1.0)))
    assert found.total == pytest.approx(1 / 9)
    assert found.parts["judge_tokens"].tolist() == found.parts["judge_cost"].tolist() == [0.0]


@pytest.mark.parametrize(
    "changes", [{"finish_reason": "content_filter"}, {"message": {"content": None, "refusal": "No."}}]
)
def test_a_refusal_is_an_error_and_counted(fake_server, backend, changes):
    fake_server.behave = [fake_server.say("", **changes)]
    with pytest.raises(Refusal):
        backend()("a prompt")
    with pytest.warns(RuntimeWarning, match="Refusal: fake refused"):
        judge = assert_failed(score(backend()), "error")
    assert judge.usage.refusals == 1 and judge.usage.calls == 1


def test_a_refusal_in_words_is_asked_again_and_then_an_error(fake_server, backend):
    fake_server.behave = [fake_server.say("I'm sorry, but I can't judge that.")]
    with pytest.warns(RuntimeWarning, match="no verdict, 3 times"):
        judge = assert_failed(score(backend()), "error")
    assert judge.usage.unreadable == 3 and judge.usage.tokens == 360
    assert fake_server.requests[1][0]["messages"][0]["content"].endswith("was not counted. End with it.")


def test_a_reply_that_was_cut_is_an_error(fake_server, backend, code_of):
    fake_server.behave = [fake_server.say(lambda prompt: f"Score {code_of(prompt)}: 1", finish_reason="length")]
    with pytest.warns(RuntimeWarning, match="cut after 512 tokens"):
        assert_failed(score(backend()), "error")


def test_one_bad_answer_spoils_no_other(fake_server, backend, code_of):
    """Statuses stay with the responses to which they belong, and the calls run at most so many at once."""

    def act(handler, body):
        prompt = body["messages"][0]["content"]
        if "number 3" in prompt:
            return fake_server.hang(handler, body)
        if "number 5" in prompt:
            return fake_server.send(500, {})(handler, body)
        number = 1 + int(prompt.partition("number ")[2][0])
        return fake_server.after(0.05, fake_server.score(number))(handler, body)

    fake_server.behave = [act]
    with pytest.warns(RuntimeWarning, match="2 of 8 verdicts failed"):
        _, found = score(backend(time_limit=1.5), [f"Response number {i}." for i in range(8)], concurrency=3)
    assert found.status == ["ok", "ok", "ok", "timeout", "ok", "error", "ok", "ok"]
    assert [i for i in range(8) if np.isnan(found.total[i])] == [3, 5]
    assert found.total[[0, 1, 2, 4, 6, 7]] == pytest.approx(np.array([0, 1, 2, 4, 6, 7]) / 9)
    assert 2 <= fake_server.most_at_once <= 3


def test_it_works_where_an_event_loop_runs(fake_server, backend):
    import asyncio

    async def main():
        return score(backend(), ["One.", "Two."])[1].total.tolist()

    assert asyncio.run(main()) == [6 / 9, 6 / 9]


@pytest.mark.parametrize(
    "settings", [{"max_tokens": 0}, {"time_limit": 0.0}, {"time_limit": float("inf")}, {"retries": -1}]
)
def test_bad_settings_are_named(backend, settings):
    with pytest.raises(ValueError, match=str(next(iter(settings.values())))):
        backend(**settings)
