"""What people ask an install for: registers, event logs and statements, from the ledger and the facts.

Registers are `Sheet` values (CSV and JSON), event logs streams of JSON objects; a statement is signed by the caller.
What the platform can't know stays empty and says so. Pure; nothing here is legal advice.
"""

from greylag.governance.exports.activity import Activity, Period, Use, gather
from greylag.governance.exports.aiact import ai_act_log
from greylag.governance.exports.install import Install
from greylag.governance.exports.ocsf import ocsf_events
from greylag.governance.exports.openlineage import openlineage_events
from greylag.governance.exports.processors import dora_sheets, sub_processor_list
from greylag.governance.exports.ropa import controller_record, processor_record
from greylag.governance.exports.sheets import Column, Sheet, sheet_csv, sheet_document
from greylag.governance.exports.statement import STATEMENT_PREDICATE, Subject, customer_statement, wanted_proofs
from greylag.governance.exports.transfers import transfer_register

__all__ = [
    "STATEMENT_PREDICATE", "Activity", "Column", "Install", "Period", "Sheet", "Subject", "Use", "ai_act_log",
    "controller_record", "customer_statement", "dora_sheets", "gather", "ocsf_events", "openlineage_events",
    "processor_record", "sheet_csv", "sheet_document", "sub_processor_list", "transfer_register", "wanted_proofs",
]  # fmt: skip
