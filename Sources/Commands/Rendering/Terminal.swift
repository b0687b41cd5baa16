import AgentProtocol
import Glibc
import LinuxCalls

/// The terminal on this side.
enum Terminal {
    static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }

    /// Of the first of the standard streams that is a terminal.
    static func size() -> TerminalSize? {
        for descriptor: Int32 in [0, 1, 2] where isTerminal(descriptor) {
            if let size = try? WindowSize(of: descriptor) {
                return TerminalSize(
                    rows: size.rows, columns: size.columns, widthPixels: size.widthPixels,
                    heightPixels: size.heightPixels)
            }
        }
        return nil
    }

    static func columns(_ descriptor: Int32) -> Int {
        guard let size = try? WindowSize(of: descriptor), size.columns > 0 else { return 80 }
        return Int(size.columns)
    }
}

/// A terminal in another mode than people leave it in; the mode from before comes back when this is let go of.
///
/// Signals that end the process arrive as records and not by default, so only SIGKILL leaves a terminal raw.
final class TerminalMode {
    private let descriptor: Int32
    private var before = termios()

    /// Every byte typed goes to the guest, which makes of it what its own terminal settings say. Nil where the descriptor
    /// is no terminal.
    static func raw(_ descriptor: Int32) -> TerminalMode? {
        // SAFETY: the library changes the structure during the call.
        TerminalMode(descriptor) { unsafe cfmakeraw(&$0) }
    }

    /// What is typed is not shown. Nil where the descriptor is no terminal.
    static func withoutEcho(_ descriptor: Int32) -> TerminalMode? {
        TerminalMode(descriptor) { $0.c_lflag &= ~tcflag_t(ECHO) }
    }

    private init?(_ descriptor: Int32, _ change: (inout termios) -> Void) {
        self.descriptor = descriptor
        // SAFETY: the library fills the structure during the call.
        guard unsafe tcgetattr(descriptor, &before) == 0 else { return nil }
        var mode = before
        change(&mode)
        // SAFETY: the library reads the structure during the call.
        guard unsafe tcsetattr(descriptor, TCSADRAIN, &mode) == 0 else { return nil }
    }

    func restore() {
        // SAFETY: the library reads the structure during the call.
        unsafe tcsetattr(descriptor, TCSADRAIN, &before)
    }

    deinit { restore() }
}

enum Now {
    static var seconds: Int64 { Int64(Clock.realTime.nanoseconds() / 1_000_000_000) }
}
