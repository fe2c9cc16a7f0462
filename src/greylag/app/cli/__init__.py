"""The command line: ``greylag <noun> <verb>``, ``--json`` everywhere, heavy imports only where a command needs them."""
