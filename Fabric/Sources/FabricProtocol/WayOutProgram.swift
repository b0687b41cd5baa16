/// The computer's own program by which networks of an ordinary user lead out of it.
public enum WayOutProgram {
    public static let path = "/usr/bin/slirp4netns"
    /// For people, where it is not there.
    public static let absence =
        "there is no \(path), by which networks of an ordinary user lead out; as root: apt-get install slirp4netns"
}
