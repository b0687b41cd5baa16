public import AgentProtocol

extension RunningHost {
    /// A command to be run in the host, with its streams on connections that this side opens: to be given to a session
    /// over `connect()`, with the host as its endpoint.
    ///
    /// - Parameters:
    ///   - arguments: the program, looked up in the environment's `PATH`, and its arguments.
    ///   - environment: `NAME=value`.
    ///   - workingDirectory: the same path as out here.
    ///   - streams: pipes, or a terminal.
    ///   - outlivesConnection: whether it goes on when this side is gone.
    public func start(
        _ arguments: [String], environment: [String], workingDirectory: String, streams: Start.Streams,
        outlivesConnection: Bool = false
    ) -> Start {
        var generator = SystemRandomNumberGenerator()
        return Start(
            arguments: arguments.map { ByteString($0) }, environment: environment.map { ByteString($0) },
            workingDirectory: ByteString(workingDirectory), streams: streams, streamOrigin: .host,
            token: Token(first: generator.next(), second: generator.next()), outlivesConnection: outlivesConnection)
    }
}
