"""What commands share: options, output, bars, who answers."""
