"""One row of numbers for each address at a moment (`as_of`): entities, exposure, behaviour."""
