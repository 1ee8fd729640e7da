"""How long a prompt gets, by the chat template and tokenizer of its model; imports data/row.py and below."""
