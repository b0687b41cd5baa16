import LinuxCalls

/// Confines the threads of a monitor, each to its role.
///
/// Made before the machine is built; each thread calls `enter` as the first thing it does, the machine's own when
/// everything else has been started. What fails ends the process: nobody runs unconfined who was to be.
public final class Confinement: Sendable {
    public enum Mode: Equatable, Sendable {
        /// No filter.
        case open
        case enforced
        /// Each call is asked of whoever got the listener through that socket. For tests only: nothing is refused.
        case recorded(Int32)
    }

    private let mode: Mode
    private let parts: JailedParts
    private let dropsCapabilities: Bool

    /// - Parameter dropsCapabilities: whether each thread gives up those that are left. A folder's keeps what it has, the API's
    ///   those over files.
    public init(_ mode: Mode, parts: JailedParts, dropsCapabilities: Bool = false) {
        self.dropsCapabilities = dropsCapabilities
        self.mode = mode
        self.parts = parts
        if case .enforced = mode {
            // Made now: a signal's handler may not allocate.
            _ = SystemCallNumber.allowed.count + SystemCallNumber.neverAllowed.count
            SystemCallFilter.reportRefusals(Self.report)
        }
    }

    public static let none = Confinement(.open, parts: [])

    public var isOpen: Bool { mode == .open }

    /// Confines the calling thread.
    /// - Parameter inherits: whether it was started by a confined one, whose filter it has and keeps.
    public func enter(_ role: ThreadRole, inherits: Bool = false) {
        do throws(LinuxError) {
            // Each thread has its own.
            if dropsCapabilities, role != .folder, try !PrivilegeDrop.capabilitiesHeld().isEmpty {
                try PrivilegeDrop.keepOnly(role == .api ? .files : [])
            }
            switch mode {
            case .open: return
            case .enforced:
                try PrivilegeDrop.refuseNewPrivileges()
                try SystemCallFilter.install(
                    FilterProgram(RoleRules.rules(role, with: parts), refused: .trap(role.rawValue)).instructions)
            case .recorded where inherits: return
            case .recorded(let recorder):
                try PrivilegeDrop.refuseNewPrivileges()
                let program = FilterProgram.recording(recorder)
                // Until somebody answers, nothing may be freed here, nor the listener closed: that would be asked about.
                defer { withExtendedLifetime(program) {} }
                let listener = try SystemCallFilter.installWithListener(program.instructions)
                try sendDescriptor(listener.release(), with: UInt8(role.rawValue), over: recorder)
            }
        } catch {
            writeToStandardError(
                "swiftlet-vmm: the thread of \(role.name) cannot be confined: \(error); see the jail's section of the "
                    + "configuration\n")
            exitProcess(1)
        }
    }

    /// Called in a signal's handler.
    private static let report: @Sendable (Int32, Int32, UInt, UInt, UInt) -> Void = { data, call, a, b, c in
        var line = ReportLine()
        line.add("swiftlet-vmm: the jail ended this monitor: its thread of ")
        line.add(ThreadRole(rawValue: UInt16(truncatingIfNeeded: data))?.name ?? "no role")
        line.add(" made system call ")
        line.add(decimal: UInt32(bitPattern: call))
        if let name = SystemCallNumber.name(of: UInt32(bitPattern: call)) {
            line.add(" (")
            line.add(name)
            line.add(")")
        }
        line.add(" with 0x")
        line.add(hexadecimal: UInt64(a))
        line.add(", 0x")
        line.add(hexadecimal: UInt64(b))
        line.add(", 0x")
        line.add(hexadecimal: UInt64(c))
        line.add(", for which it has no rule\n")
        line.write()
    }
}
