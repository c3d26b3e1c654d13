// Package child runs a command as a child process that can be stopped for certain: in a process
// group of its own, with the terminal if there is one. On Linux it is killed when its parent dies.
//
// # Job control
//
// The child's group becomes the terminal's foreground group if the parent's was. So Ctrl-C, Ctrl-\
// and Ctrl-Z reach the child directly. When the child stops, the parent takes the terminal back and
// stops too, so that the shell notices. When the shell continues the parent, it asks Options.Resume
// first whether the child may go on, because a lock may have been lost meanwhile.
package child
