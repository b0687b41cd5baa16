import AgentProtocol

extension ProtocolError {
    /// What a person is told.
    var text: ByteString {
        switch self {
        case .truncated: "a message ends early"
        case .trailingBytes: "a message is followed by bytes that are not its own"
        case .notThisProtocol: "this is not the agent's protocol"
        case .version(let version): "version " + ByteString(version) + " of the protocol is not known here"
        case .frameTooLong(let length): "a frame of " + ByteString(length) + " bytes is too long"
        case .unknownMessage(let number): "message " + ByteString(number) + " is not known"
        case .outOfBounds(let field):
            "the field \"" + ByteString(stringLiteral: field.name) + "\" is outside its bounds"
        }
    }
}
