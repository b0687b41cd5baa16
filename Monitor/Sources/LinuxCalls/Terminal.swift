import CLinux

/// A terminal put into raw mode: every key goes through as it is. `restore` puts it back.
public struct RawTerminal {
    private let descriptor: Int32
    private var before = linux_termios()

    /// Nil when the descriptor is no terminal, or not ours to change.
    public init?(_ descriptor: Int32) {
        self.descriptor = descriptor
        guard Self.control(descriptor, linux_TCGETS, &before) else { return nil }
        var raw = before
        // As cfmakeraw(3), but output stays processed so that a line feed starts a line on the person's terminal.
        raw.c_iflag &= ~UInt32(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON)
        raw.c_lflag &= ~UInt32(ECHO | ECHONL | ICANON | ISIG | IEXTEN)
        guard Self.control(descriptor, linux_TCSETS, &raw) else { return nil }
    }

    /// The terminal as it was before.
    public func restore() {
        var before = before
        _ = Self.control(descriptor, linux_TCSETS, &before)
    }

    private static func control(_ descriptor: Int32, _ request: UInt, _ state: inout linux_termios) -> Bool {
        // SAFETY: the kernel reads or fills the structure during the call.
        unsafe withUnsafeMutablePointer(to: &state) { pointer in
            linux_system_call(
                Int(__NR_ioctl), Int(descriptor), Int(bitPattern: request), Int(bitPattern: pointer), 0, 0, 0) == 0
        }
    }
}
