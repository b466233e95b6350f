"""What is made of a report: HTML, JUnit, SARIF."""
