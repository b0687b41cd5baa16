extension NetworkRecord {
    /// Refuses that networks of two tenants come together, in a machine, by `--reach` or by an appliance.
    public func checkMeeting(_ other: NetworkRecord) throws(NetworkError) {
        guard let tenant, let stranger = other.tenant, tenant != stranger else { return }
        throw NetworkError(
            .otherTenant,
            "\"\(name)\" is a network of the tenant \"\(tenant)\" and \"\(other.name)\" one of \"\(stranger)\", which never meet; what both are to reach is in a network of nobody (network create without --tenant)"
        )
    }
}
