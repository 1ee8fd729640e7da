"""How good a judge is: its error by kind of answer, a group's order, a cascade's band; imports what scoring/ does."""
