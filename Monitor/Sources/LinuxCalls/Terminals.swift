import CLinux

/// A pair of pseudo-terminal ends. Source: pty(7).
@frozen public struct TerminalPair: ~Copyable, Sendable {
    /// The side that plays the keyboard and the screen; non-blocking.
    public let controller: FileDescriptor
    /// The side that a program has.
    public let terminal: FileDescriptor

    /// - Parameter multiplexer: `/dev/ptmx` or `/dev/pts/ptmx`.
    public init(multiplexer: [UInt8]) throws(LinuxError) {
        let controller = try FileTree.open(multiplexer, [.readWrite, .nonBlocking, .noControllingTerminal])
        let number = controller.number
        var unlocked: Int32 = 0
        // SAFETY: the kernel reads four bytes during the call.
        unsafe try withUnsafeMutablePointer(to: &unlocked) { pointer throws(LinuxError) in
            _ = unsafe try systemCall(__NR_ioctl, Int(number), Int(linux_TIOCSPTLCK), Int(bitPattern: pointer))
        }
        // SAFETY: no address is passed. TIOCGPTPEER opens the other side without a name.
        terminal = FileDescriptor(
            owning: Int32(
                truncatingIfNeeded: unsafe try systemCall(
                    __NR_ioctl, Int(number), Int(linux_TIOCGPTPEER), Int(O_RDWR | O_NOCTTY | O_CLOEXEC))))
        self.controller = controller
    }
}

/// The size of a terminal, in characters and in pixels.
public struct WindowSize: Equatable, Sendable {
    public var rows: UInt16
    public var columns: UInt16
    public var widthPixels: UInt16
    public var heightPixels: UInt16

    public init(rows: UInt16, columns: UInt16, widthPixels: UInt16 = 0, heightPixels: UInt16 = 0) {
        self.rows = rows
        self.columns = columns
        self.widthPixels = widthPixels
        self.heightPixels = heightPixels
    }

    /// Reads the size of a terminal. ENOTTY when it is none.
    public init(of terminal: Int32) throws(LinuxError) {
        var size = linux_window_size()
        // SAFETY: the kernel fills the structure during the call.
        unsafe try withUnsafeMutablePointer(to: &size) { pointer throws(LinuxError) in
            _ = unsafe try systemCall(__NR_ioctl, Int(terminal), Int(linux_TIOCGWINSZ), Int(bitPattern: pointer))
        }
        self.init(
            rows: size.rows, columns: size.columns, widthPixels: size.width_pixels, heightPixels: size.height_pixels)
    }

    /// Gives a terminal this size; its foreground processes hear of it.
    public func apply(to terminal: Int32) throws(LinuxError) {
        var size = linux_window_size(
            rows: rows, columns: columns, width_pixels: widthPixels, height_pixels: heightPixels)
        // SAFETY: the kernel reads the structure during the call.
        unsafe try withUnsafeMutablePointer(to: &size) { pointer throws(LinuxError) in
            _ = unsafe try systemCall(__NR_ioctl, Int(terminal), Int(linux_TIOCSWINSZ), Int(bitPattern: pointer))
        }
    }
}
