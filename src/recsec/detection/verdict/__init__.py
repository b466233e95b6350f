"""From scores to what is said of an account: verdict, check of the fit, reasons."""
