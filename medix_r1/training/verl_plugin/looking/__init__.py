"""Does the policy look? Validations that ask rows again with other pictures; imports runs/ and verl."""
