import CLinux

/// Writes text to standard error; an error of that is nobody's to hear.
public func writeToStandardError(_ text: String) { try? writeAll(2, text) }

/// Writes text to standard output; an error of that is nobody's to hear.
public func writeToStandardOutput(_ text: String) { try? writeAll(1, text) }

/// Opens `/dev/null` where this process was started with a standard stream closed; every program does it first.
///
/// Otherwise the next file that is opened gets the free number, and what is meant for a standard stream goes into it.
public func openMissingStandardStreams() {
    for number: Int32 in 0...2 where (try? fileControl(number, F_GETFD)) == nil {
        // The lowest free number is this one, for those below are open. Unlike other files it is passed on.
        guard let null = try? open("/dev/null", .readWrite), null.number == number else { return }
        _ = try? fileControl(null.release(), F_SETFD, 0)
    }
}
