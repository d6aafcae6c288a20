"""Detectors of what users say of a run."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from halo_engine.detectors.user_signals import negative_rating, repeated_request
from halo_engine.schema import Score, Trace
from halo_integrations.testing import agent, llm, message, trace
from outcomes import not_applicable, quotes, signal, signals

REQUEST = "Please change the delivery address of my order."


def conversation(*said: str) -> Trace:
    """A run whose last model call was told ``said`` by the user, with answers in between."""
    turns = [
        turn
        for text in said
        for turn in (message("user", text), message("assistant", "Of course."))
    ]
    return trace(agent(), llm("Done.", messages=turns[:-1]))


def test_a_request_that_is_made_again_at_once_is_a_signal_of_the_user():
    found = signal(
        repeated_request, conversation(REQUEST, "please change the delivery address of my order!")
    )
    assert found.message == "asks the same again"
    assert [field for field, _ in quotes(found)] == [
        "input_messages.0.content",
        "input_messages.2.content",
    ]


@pytest.mark.parametrize(
    "said",
    [
        (REQUEST, "Please cancel my order instead."),
        ("Yes, please.", "Yes, please."),
        ("Where is my order 4711 now?", "Where is my order 4712 now?"),
        (REQUEST, "Thank you, that is right.", REQUEST),
    ],
)
def test_other_words_short_ones_and_ones_much_later_are_no_repetition(said):
    assert signals(repeated_request, conversation(*said)) == []


@pytest.mark.parametrize(
    "text",
    [
        "That's not what I asked for.",
        "I already told you my name.",
        "You didn't answer my question",
    ],
)
def test_a_user_who_corrects_the_agent_is_a_signal(text):
    found = signal(repeated_request, conversation(REQUEST, text))
    assert found.message == "corrects the agent"
    assert any(text in quote for _, quote in quotes(found))


def test_a_run_without_words_of_a_user_is_not_judged():
    run = trace(agent(), llm("Done.", messages=[message("system", "Work.")]))
    assert not_applicable(repeated_request, run) == "no words of a user recorded"


# -- ratings ---------------------------------------------------------------------------------------


def rated(**fields) -> Trace:
    score = Score(**{"name": "feedback", "source": "HUMAN"} | fields)
    return replace(trace(agent()), scores=(score,))


@pytest.mark.parametrize("fields", [{"label": "Thumbs_Down"}, {"label": "incorrect"}, {"value": 0}])
def test_a_bad_rating_by_a_person_is_told_with_its_name(fields):
    found = signal(negative_rating, rated(**fields))
    assert found.message == "feedback"
    assert found.reason.startswith("a person rated it feedback: ")


@pytest.mark.parametrize("fields", [{"label": "good"}, {"value": 1}, {"label": "good", "value": 0}])
def test_a_good_rating_is_no_signal(fields):
    assert signals(negative_rating, rated(**fields)) == []


def test_what_an_application_stores_as_feedback_of_its_users_is_by_people():
    assert signal(negative_rating, rated(name="user-feedback", source="CODE", value=0))


def test_scores_of_programs_and_models_are_not_those_of_people():
    assert (
        not_applicable(negative_rating, rated(name="tone", label="bad", source="LLM"))
        == "no score by a person"
    )
