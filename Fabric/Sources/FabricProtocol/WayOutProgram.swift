/// The computer's own program by which networks of an ordinary user lead out of it.
public enum WayOutProgram {
    public static let path = "/usr/bin/slirp4netns"
    /// For people.
    public static let v6 = "networks of an ordinary user lead out by IPv4 alone"
    /// For people, where it is not there.
    public static let absence =
        "there is no \(path), by which networks of an ordinary user lead out; as root: apt-get install slirp4netns"
}
