import AgentClient
import AgentProtocol
import CodedErrors
import Fleet

/// Every error as a person and a program see it: one line (and what belongs to it), a stable code, an exit status.
struct CommandFailure: Error, Equatable {
    /// Of our own errors before a program ran.
    static let exitStatus = RunFailure.usualStatus

    var code: String
    var message: String
    var status = CommandFailure.exitStatus

    init(_ code: String, _ message: String) {
        self.code = code
        self.message = message
    }

    init(_ error: any Error) {
        switch error {
        case let error as CommandFailure: self = error
        case let error as OutputLoss: self.init("output.lost", "\(error)")
        case let error as any CodedError:
            self.init(error.code.rawValue, error.message)
            status = RunFailure(error).status
        case let error as RunFailure:
            self.init(error.code, error.message)
            status = error.status
        default: self.init("internal", "\(error)")
        }
    }

    /// Whether somebody has asked for the command's end, and nothing went wrong.
    var isInterruption: Bool { code == FleetError.Code.interrupted.rawValue && status > 128 }

    /// A message may quote what a guest's agent or console said. Lines stay, everything else that steers a terminal goes.
    var printableMessage: String {
        message.split(separator: "\n", omittingEmptySubsequences: false).map { Table.printable(String($0)) }
            .joined(separator: "\n")
    }

    func report(asJSON: Bool) {
        if asJSON {
            Output.error(JSONText.encode(ErrorDocument(error: .init(code: code, message: message, status: status))))
        } else {
            Output.error("swiftlet: \(printableMessage)")
        }
    }
}

/// An error for programs.
struct ErrorDocument: Encodable {
    struct Content: Encodable {
        var code: String
        var message: String
        var status: Int32
    }
    var error: Content
}
