"""The twelve stages at which data can move, each with its own decision."""

from enum import StrEnum


class Stage(StrEnum):
    """Where on its way a byte stands when the decision is asked for."""

    INTAKE = "intake"
    PLACEMENT = "placement"
    CHECKOUT = "checkout"
    CONTEXT = "context"
    PROMPT = "prompt"
    TOOL = "tool"
    ARTIFACT = "artifact"
    CHAT = "chat"
    PUSH = "push"
    DEPLOY = "deploy"
    TRACE = "trace"
    RETAIN = "retain"
