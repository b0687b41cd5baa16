/// Writes text to standard error; an error of that is nobody's to hear.
public func writeToStandardError(_ text: String) { try? writeAll(2, text) }

/// Writes text to standard output; an error of that is nobody's to hear.
public func writeToStandardOutput(_ text: String) { try? writeAll(1, text) }
