/// How a machine's life ended. Every machine ends in exactly one of these.
public enum MachineEnd: Equatable, Sendable {
    /// The guest powered itself off.
    case poweredOff
    /// The guest asked for a reset; a microVM is then done.
    case reset
    /// The guest's processors all halted with interrupts off: nothing can wake them.
    case halted
    /// The guest broke so badly that a processor gave up. The text shows where.
    case tripleFault(String)
    /// KVM could not go on with the guest. The text shows where.
    case internalError(String)
    /// The host asked for the end: a signal, or the lifeline.
    case requested
    /// The host could not go on.
    case hostFault(String)
}

extension MachineEnd {
    /// What the monitor exits with. Zero is an end that the guest or the host wanted.
    public var exitStatus: Int32 {
        switch self {
        case .poweredOff, .reset, .requested: 0
        case .hostFault: 1
        case .halted: 2
        case .tripleFault: 3
        case .internalError: 4
        }
    }
}

extension MachineEnd: CustomStringConvertible {
    public var description: String {
        switch self {
        case .poweredOff: "the guest powered off"
        case .reset: "the guest reset itself"
        case .halted: "the guest halted for good: every processor waits with interrupts off"
        case .tripleFault(let detail): "the guest met a triple fault\n\(detail)"
        case .internalError(let detail): "KVM could not run the guest any further\n\(detail)"
        case .requested: "the machine was stopped from outside"
        case .hostFault(let detail): "the host could not run the guest any further: \(detail)"
        }
    }
}
