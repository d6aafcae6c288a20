"""DSPy: a ReAct module."""

import dspy
from openinference.instrumentation.dspy import DSPyInstrumentor
from opentelemetry.sdk.trace import TracerProvider

import shop


def instrument(provider: TracerProvider) -> None:
    DSPyInstrumentor().instrument(tracer_provider=provider)


def run(prompt: str) -> object:
    dspy.configure(lm=dspy.LM(f"openai/{shop.MODEL}", cache=False, num_retries=1))
    signature = dspy.Signature("question -> answer", shop.INSTRUCTIONS)
    agent = dspy.ReAct(signature, tools=list(shop.TOOLS), max_iters=shop.STEPS)
    return agent(question=prompt).answer
