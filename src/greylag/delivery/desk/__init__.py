"""The desk: what people say, checked and recorded. Everything that faces people goes through `Desk`."""

from greylag.delivery.desk.asking import Attachment, Request, task_id_of
from greylag.delivery.desk.checks import title_of
from greylag.delivery.desk.desk import Desk

__all__ = ["Attachment", "Desk", "Request", "task_id_of", "title_of"]
