public import LinuxCalls

/// Why a backend cannot be used, or no longer can.
public enum VhostUserError: Error, Equatable, Sendable {
    /// The socket cannot be connected to.
    case unreachable(LinuxError)
    /// It can no longer be sent to, or received from.
    case broken(LinuxError)
    /// The backend has closed the connection.
    case closed
    /// The backend does not answer.
    case silent
    /// What it says is no answer to what it was asked.
    case malformed
    /// It says that it has not done what a message of this number asks for.
    case refused(UInt32)
    /// It lacks a feature that a drive cannot do without.
    case lacks(Feature)

    public enum Feature: Sendable { case protocolFeatures, version1, configuration }
}

extension VhostUserError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .unreachable(let error): "the backend's socket cannot be connected to: \(error)"
        case .broken(let error): "the connection to the backend is broken: \(error)"
        case .closed: "the backend has closed the connection"
        case .silent: "the backend does not answer"
        case .malformed: "the backend's answer is none to what it was asked"
        case .refused(let number): "the backend refused message \(number)"
        case .lacks(.protocolFeatures): "the backend has no protocol features (bit 30)"
        case .lacks(.version1): "the backend serves old drivers only (no VIRTIO_F_VERSION_1)"
        case .lacks(.configuration): "the backend has no configuration (protocol feature bit 9)"
        }
    }
}
