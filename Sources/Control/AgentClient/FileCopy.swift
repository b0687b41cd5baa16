/// How much has been copied.
public struct CopyProgress: Equatable, Sendable {
    public var entries: UInt64 = 0
    public var bytes: UInt64 = 0
}
public enum FileCopy {
    public static func into(
        _ endpoint: any AgentEndpoint, from source: String, to destination: String,
        progress: (CopyProgress) -> Void = { _ in }
    ) throws(AgentClientError) { throw AgentClientError(.localFile, "not there yet") }
    public static func outOf(
        _ endpoint: any AgentEndpoint, from source: String, to destination: String,
        progress: (CopyProgress) -> Void = { _ in }
    ) throws(AgentClientError) { throw AgentClientError(.localFile, "not there yet") }
}
