"""The model that is asked about known issues, what it may use, and where its answers are kept."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager

import orjson

from halo_adapters.transport.addresses import check_address
from halo_engine.errors import ConfigError
from halo_engine.issues import Issue
from halo_engine.issues.checked import questions_of
from halo_engine.issues.judging import IssueJudge
from halo_engine.llm import Budget, ChatModel, Ledger, ModelClient
from halo_engine.private_files import make_private_folder, touch_private
from halo_engine.rlm.brief import InvestigationBrief
from halo_engine.text.redaction import Redactor
from halo_integrations.context import Context
from halo_integrations.model_setup import ModelSetup, chat_model, require_key_of
from halo_integrations.options.callbacks import Notice

ANSWERS = "judgements"
DIGITS = 16


def judging_model(context: Context) -> ChatModel | None:
    """The model that reads traces, the cheaper one of two; None where none is set.

    Raises ``ConfigError`` for an address that is refused, and where its key is known to be missing.
    """
    settings = context.model_settings.settings
    name = settings.sub_model or settings.model
    if name is None:
        return None
    if settings.model_url:
        check_address(settings.model_url)

    def on_dropped(text: str) -> None:
        context.on_notice(Notice(text=text))

    model = chat_model(name, settings, on_dropped)
    require_key_of(model)
    return model


def judge_setup(context: Context) -> ModelSetup:
    """The model that reads traces; raises ``ConfigError`` before anything is sent."""
    settings, model = context.model_settings.settings, judging_model(context)
    if model is None:
        raise ConfigError("--judge asks a model about known issues: name one with --model.")
    setup = ModelSetup(model, model, settings, InvestigationBrief())
    setup.require_price()
    return setup


@contextmanager
def issue_judge(
    context: Context,
    setup: ModelSetup,
    known: Sequence[Issue],
    members: Mapping[str, Set[str]],
    redactor: Redactor,
) -> Iterator[IssueJudge | None]:
    """A judge of those of ``known`` that a model is asked about, within the block; None without any.

    Its answers are kept in the home, those of each pair of sides in a file of their own: the same
    comparison again, or one that was interrupted, pays for none of them twice.
    """
    asked = questions_of(known)
    if not asked:
        yield None
        return
    for notice in setup.notices():
        context.on_notice(notice)
    path = context.runs.home / ANSWERS / f"{comparison_key(setup, asked, members)}.sqlite"
    make_private_folder(path.parent)
    touch_private(path)
    with Ledger(path) as ledger:
        client = ModelClient(
            Budget(setup.limits),
            ledger,
            concurrency=setup.settings.parallel,
            retry_timeout=setup.settings.retry_timeout,
            on_busy=context.on_wait,
            redact=redactor.text,
        )
        yield IssueJudge(client, setup.sub_model)


def comparison_key(
    setup: ModelSetup, asked: Sequence[Issue], members: Mapping[str, Set[str]]
) -> str:
    """A name for the answers of a model about these issues and traces."""
    checks = {i.id: str(i.finding.portable_check) for i in asked}
    traces = {name: sorted(ids) for name, ids in members.items()}
    content = orjson.dumps([setup.sub_model.name, checks, traces], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(content).hexdigest()[:DIGITS]
