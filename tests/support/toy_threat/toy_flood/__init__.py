"""A third threat that lives in the tests: how many calls does a counter answer before it tires?"""
