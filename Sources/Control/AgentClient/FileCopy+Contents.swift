import AgentProtocol

extension FileCopy {
    /// What a file in a guest holds.
    ///
    /// Trust: the guest says how much comes, and what it is of; more than `limit` bytes are refused, and so is what is no file.
    /// - Returns: nil where there is none.
    public static func contents(
        of path: String, in endpoint: any AgentEndpoint, limit: Int, patience: Duration = usualPatience
    ) throws(AgentClientError) -> [UInt8]? {
        let channel = try TransferChannel(endpoint, patience: patience, signals: nil)
        try channel.send(.copyOut(path: ByteString(path)))
        var contents: [UInt8]?
        while let message = try channel.receive() {
            switch (message, contents) {
            case (.failure(let failure), nil) where failure.code == .noSuchFile: return nil
            case (.failure(let failure), _): throw AgentClientError(failure)
            case (.entry(let entry), nil):
                guard case .regular = entry.kind, entry.path.isEmpty else {
                    throw AgentClientError(.refused, "\(path) in the machine is no file")
                }
                contents = []
            case (.data(let bytes), .some(let before)):
                guard before.count + bytes.count <= limit else {
                    throw AgentClientError(.refused, "\(path) in the machine is longer than \(limit) bytes")
                }
                contents = before + bytes
            case (.end, .some(let contents)): return contents
            default: throw AgentClientError(.malformed, "the agent sent something else than \(path)")
            }
        }
        throw AgentClientError(.gone, "the machine closed the connection before \(path) had come whole")
    }
}
