"""The front: what chats hear is kept, gets a sign of life, and is handled: once, in order, and never in silence."""

from greylag.delivery.conversing.front.front import Front
from greylag.delivery.conversing.front.house import House

__all__ = ["Front", "House"]
