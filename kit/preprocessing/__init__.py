"""From typed columns to what a family of models eats. Everything here is fitted inside a fold."""
