import AgentClient
import CodedErrors

/// Why a program did not run, as it passes from the process in the background to the one in front, and on to a shell.
///
/// Layout in the pipe between the two: code, tab, exit status in decimal digits, tab, message.
public struct RunFailure: Error, Equatable, CustomStringConvertible {
    /// Of what keeps a program from running, as other runners of containers have it.
    public static let usualStatus: Int32 = 125

    public let code: String
    public let message: String
    /// What the command line ends with.
    public let status: Int32

    private init(code: String, status: Int32, message: String) {
        self.code = code
        self.status = status
        self.message = message
    }

    public init(_ error: any Error) {
        let status =
            switch error {
            case let error as RunFailure: error.status
            case let error as AgentClientError:
                error.signal.map { 128 + $0 } ?? error.failure.map { Int32($0.shellStatus) } ?? Self.usualStatus
            case let error as FleetError: error.signal.map { 128 + $0 } ?? Self.usualStatus
            default: Self.usualStatus
            }
        let code = (error as? RunFailure)?.code ?? (error as? any CodedError)?.code.rawValue
        self.init(code: code ?? FleetError.Code.monitorEnded.rawValue, status: status, message: "\(error)")
    }

    init(decoding text: String) {
        let parts = text.split(separator: "\t", maxSplits: 2, omittingEmptySubsequences: false)
        if parts.count == 3, let status = Int32(parts[1]) {
            self.init(code: String(parts[0]), status: status, message: String(parts[2]))
        } else {
            self.init(FleetError(.monitorEnded, "the background process ended without a word"))
        }
    }

    var encoded: String { "\(code)\t\(status)\t\(message)" }
    public var description: String { message }
}
